"""What runs on a GPU only, as far as a CPU can tell: compiled networks give the same step. `aot_eager` traces as the GPU's compiler does."""

from types import SimpleNamespace

import pytest
import torch
from one_batch import flat_faces, train
from test_gan import MODELS, STYLE, params_for

from models.precision import compile_pair, uses_bf16
from models.recipes.faces import face_recipe


@pytest.mark.parametrize("arch", MODELS)
def test_compiled_networks_take_the_same_steps_with_r1_among_them(arch: str) -> None:
    plain, compiled = face_recipe(params_for(arch)), face_recipe(params_for(arch))
    compile_pair(compiled.G, compiled.D, "aot_eager")
    faces = flat_faces()
    for theirs, ours in zip(train(plain, faces, 3), train(compiled, faces, 3), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    assert plain.state_dict()["G"].keys() == compiled.state_dict()["G"].keys()
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(plain.G_ema.parameters(), compiled.G_ema.parameters(), strict=True))


@pytest.mark.parametrize(("major", "minor", "takes"), [(7, 5, False), (8, 0, True)])
def test_a_gpu_that_only_imitates_bf16_is_not_taken_for_one_that_has_it(monkeypatch: pytest.MonkeyPatch, major: int, minor: int, takes: bool) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(major=major, minor=minor))
    monkeypatch.setattr("torch.cuda._check_bf16_tensor_supported", lambda _: True)
    assert uses_bf16("auto") == takes


@pytest.mark.slow
def test_a_network_that_grows_from_4_px_stays_compiled() -> None:
    growth = [{"side": 4, "until_kimg": 0.008, "fade_kimg": 0.016}, {"side": 8, "until_kimg": 0.024, "fade_kimg": 0.016}]
    recipe = face_recipe(params_for("stylegan2", growth=growth, style=STYLE | {"residual": True}))
    torch.compiler.reset()
    compile_pair(recipe.G, recipe.D, "eager")
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        train(recipe, flat_faces(), 6)
