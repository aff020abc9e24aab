"""The bill of materials of an environment, as CycloneDX 1.6.

Source: cyclonedx.org, specification 1.6. Packages are named by package URLs; hashes are those of the files that the
index delivered, which a lock has, so that what nobody delivered stands in it without one.
"""

from datetime import datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from studiolo import __version__
from studiolo.packages.installed.lock import Lock, LockedPackage


def write_sbom(lock: Lock, *, workspace: str, at: datetime) -> str:
    """Return the JSON document of what a lock names. `workspace`: whose environment it is."""
    components = [_component(one) for one in lock.packages]
    environment = Component(
        name=workspace,
        type=ComponentType.APPLICATION,
        version=lock.hash,
        properties=[
            Property(name="studiolo:base", value=lock.base),
            Property(name="studiolo:python", value=lock.python),
        ],
    )
    bom = Bom(components=components)
    bom.metadata.timestamp = at
    bom.metadata.component = environment
    bom.register_dependency(environment, components)
    bom.metadata.tools.components.add(Component(name="studiolo", type=ComponentType.APPLICATION, version=__version__))
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)


def _component(one: LockedPackage) -> Component:
    url = PackageURL(one.ecosystem, None, one.name, one.version)
    return Component(
        name=one.name,
        version=one.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one.sha256)] if one.sha256 else [],
        properties=[Property(name="studiolo:origin", value=one.origin)],
    )
