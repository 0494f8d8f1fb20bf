"""What kubectl is refused through this server, though a cluster itself might do it."""

import pytest

from tests.kubectl.conftest import Both

pytestmark = pytest.mark.real


@pytest.mark.parametrize("flag", ["--as=nobody", "--as=nobody --as-group=system:masters", "--as=nobody --as-uid=7"])
async def test_kubectl_is_told_why(both: Both, flag: str) -> None:
    await both.directly.must("create configmap kept --namespace=default")
    for line in ("auth can-i delete pods", "delete configmap kept --namespace=default", "get pods", "exec box -- true"):
        outcome = await both.through.run(f"{flag} {line}")
        assert (outcome.code, "somebody else" in outcome.errors) == (1, True), (line, outcome)
    await both.directly.must("delete configmap kept --namespace=default")  # it is still there, and was not to stay
