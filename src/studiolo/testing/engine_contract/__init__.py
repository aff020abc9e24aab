"""The suite that every engine passes.

In a test module, give a fixture `case` that returns an EngineCase, and import all from here:

    from studiolo.testing.engine_contract import *  # noqa: F403

The functions are coroutines: run pytest-asyncio in auto mode. `life` holds claims about the verbs and what is seen,
`limits` about what workloads may use, `isolation` about what they can reach, `storing` about files that engines keep.
"""

import pytest

# Before they are imported: a claim that does not hold then says what was seen instead.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in ("case", "life", "limits", "isolation", "storing")))

from studiolo.testing.engine_contract import isolation, life, limits, storing  # noqa: E402
from studiolo.testing.engine_contract.case import EngineCase as EngineCase  # noqa: E402
from studiolo.testing.engine_contract.case import end as end  # noqa: E402
from studiolo.testing.engine_contract.case import settle as settle  # noqa: E402
from studiolo.testing.engine_contract.case import start_ready as start_ready  # noqa: E402
from studiolo.testing.engine_contract.isolation import *  # noqa: E402, F403
from studiolo.testing.engine_contract.life import *  # noqa: E402, F403
from studiolo.testing.engine_contract.limits import *  # noqa: E402, F403
from studiolo.testing.engine_contract.storing import *  # noqa: E402, F403

__all__: list[str] = []
__all__ += life.__all__
__all__ += limits.__all__
__all__ += isolation.__all__
__all__ += storing.__all__
