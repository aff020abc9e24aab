"""One thing under several names: a rule for one of them holds for all.

`same_as` is for rules that allow: only other names of the very package. `covered_by` is for rules that refuse: its
variants too, and what people mean who write the name that they import.
"""

from functools import cache

from studiolo.packages.names import key

# Names of one package: conda's and PyPI's differ, or both exist for one project.
_SAME = (
    ("torch", "pytorch"),
    ("tables", "pytables"),
    ("graphviz", "python-graphviz"),
    ("msgpack", "msgpack-python"),
    ("kaleido", "python-kaleido"),
    ("opencv-python", "opencv", "py-opencv"),
    ("build", "python-build"),
    ("duckdb", "python-duckdb"),
    ("flatbuffers", "python-flatbuffers"),
    ("xxhash", "python-xxhash"),
)

# What a name covers besides itself when it is refused: builds of the same code under names of their own.
_VARIANTS = {
    "torch": ("pytorch-cpu", "pytorch-gpu", "torch-nightly"),
    "tensorflow": (
        "tensorflow-base",
        "tensorflow-cpu",
        "tensorflow-cpu-aws",
        "tensorflow-gpu",
        "tensorflow-intel",
        "tensorflow-macos",
        "tensorflow-rocm",
        "tf-nightly",
        "tf-nightly-cpu",
        "tf-nightly-gpu",
    ),
    "opencv-python": ("libopencv", "opencv-contrib-python", "opencv-contrib-python-headless", "opencv-python-headless"),
    "psycopg2": ("psycopg2-binary",),
    "mysqlclient": ("mysql-python",),
    "lightgbm": ("lightgbm-nightly",),
    "xgboost": ("py-xgboost", "py-xgboost-cpu", "py-xgboost-gpu", "xgboost-cpu"),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "onnxruntime": ("onnxruntime-gpu", "ort-nightly"),
    "jax": ("jaxlib",),
    "protobuf": ("libprotobuf",),
    "pyarrow": ("pyarrow-core",),
    "matplotlib": ("matplotlib-base",),
}

# Names under which packages are imported, where they are called otherwise.
_IMPORTED = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "git": "gitpython",
    "github": "pygithub",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "magic": "python-magic",
    "mysqldb": "mysqlclient",
    "nacl": "pynacl",
    "openssl": "pyopenssl",
    "pil": "pillow",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "socks": "pysocks",
    "usb": "pyusb",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}

_FAMILIES = {name: frozenset(names) for names in _SAME for name in names}


@cache
def same_as(name: str) -> frozenset[str]:
    """Return the keys of all names of the very package, its own among them."""
    return _FAMILIES.get(key(name), frozenset((key(name),)))


@cache
def covered_by(name: str) -> frozenset[str]:
    """Return the keys that a refusing rule for `name` covers: all its names, its variants, what is imported as that."""
    covered = same_as(name)
    if meant := _IMPORTED.get(key(name)):
        covered |= same_as(meant)
    return covered.union(*(_VARIANTS.get(one, ()) for one in covered))
