"""A torch module as a network of the engine: its tensors are a trajectory's, its gradients autograd's."""

import contextlib
import inspect
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lthray import references
from lthray.engine.differentiable import Gradient
from lthray.engine.network import cross_entropy
from lthray.errors import InputError
from lthray.methods.datasets import DatasetFacts
from lthray.methods.networks import MODULES, Layers
from lthray.spec.arguments import thaw
from lthray.spec.own import WEIGHT
from lthray.spec.trajectory import TrajectorySpec


def build_module(model: str, arguments: Mapping[str, object], data: DatasetFacts, code: str, seed: int) -> nn.Module:
    """Calls the function that makes a network; the start that it draws depends on the seed alone.

    Args:
        model: One of `MODULES`, or a reference.
        arguments: The function's arguments.
        data: The data set; a function that has parameters `shape` or `classes` gets them from it.
        code: The code package of the reference; see `references.load`.
        seed: Of torch's own generator, which is put back afterwards.

    Raises:
        InputError: there is no such function, it takes other arguments, or its result is no module.
        CodeError: the function raises an exception.
    """
    make = references.load(MODULES.get(model, model), code)
    try:
        signature = inspect.signature(make)
        known = {"shape": data.shape, "classes": data.classes}
        arguments = {name: value for name, value in known.items() if name in signature.parameters} | dict(arguments)
        signature.bind(**arguments)
    except ValueError:  # a builtin may have no signature
        pass
    except TypeError as error:
        raise InputError(f"model {model}: can't be called with model_args {dict(arguments)}: {error}") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with references.calling(f"model {model}"):
            module = make(**arguments)
    if not isinstance(module, nn.Module):
        raise InputError(f"model {model}: returned {type(module).__name__}, but it must return a torch.nn.Module")
    return module


def state_names(spec: TrajectorySpec) -> list[str]:
    """The names of a module's tensors in its `state_dict`, in the engine's order."""
    return [*(f"{layer}{WEIGHT}" for layer in spec.layer_sizes), *spec.parameter_sizes, *spec.buffer_sizes]


def _build(spec: TrajectorySpec, seed: int) -> nn.Module:
    return build_module(spec.model, thaw(spec.model_args), spec.data, spec.own.code, seed)


def draw_module(spec: TrajectorySpec, source: torch.Generator) -> Layers:
    """A module's new starting tensors, in the engine's order."""
    module = _build(spec, source.initial_seed())
    state = module.state_dict()
    return tuple(state[name].detach().clone() for name in state_names(spec))


class ModuleNetwork:
    """One trajectory's module; it computes with the tensors given to it, and training changes them in place.

    Args:
        spec: The setting.
        tensors: The module's tensors, in the engine's order.
    """

    def __init__(self, spec: TrajectorySpec, tensors: Layers) -> None:
        self.spec, self.shape, self.classes = spec, spec.data.shape, spec.data.classes
        self.module = _build(spec, 0).to(tensors[0].device).eval()
        self.parameters: list[nn.Parameter] = []
        for name, tensor in zip(state_names(spec), tensors, strict=True):
            owner, _, leaf = name.rpartition(".")
            place = self.module.get_submodule(owner)
            if isinstance(parameter := getattr(place, leaf), nn.Parameter):
                parameter.data = tensor
                self.parameters.append(parameter)
            else:
                setattr(place, leaf, tensor)
        channels = (-1, *[1] * (len(self.shape) - 1))
        self.mean, self.std = (
            torch.tensor(numbers, device=tensors[0].device).view(channels) if numbers else None
            for numbers in (spec.normalize.mean, spec.normalize.std)
        )
        self.run = torch.compile(self.module) if spec.compute.compile else self.module

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) of images (B, D) in [0, 1], as a function that autograd can follow.

        Raises:
            InputError: the module returns something else.
        """
        inputs = images.view(-1, *self.shape)
        if self.mean is not None:
            inputs = inputs - self.mean
        if self.std is not None:
            inputs = inputs / self.std
        if self.spec.compute.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with _numbers(self.spec.compute.precision, images.device):
            logits = self.run(inputs)
        expected = (len(images), self.classes)
        if not isinstance(logits, Tensor) or logits.shape != expected:
            kind = f"a tensor {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise InputError(f"model {self.spec.model}: returned {kind}, but logits are a tensor {expected}")
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    def logits(self, images: Tensor) -> Tensor:
        """See `Differentiable`; without gradients."""
        with torch.no_grad():
            return self.forward(images)

    def logits_and_gradient(self, images: Tensor) -> tuple[Tensor, Gradient]:
        """See `Differentiable`."""
        inputs = images.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.forward(inputs)

        def compute(targets: Tensor) -> Tensor:
            with torch.enable_grad():
                loss = cross_entropy(logits, targets).sum()
            (gradient,) = torch.autograd.grad(loss, inputs, retain_graph=True)
            return gradient

        return logits.detach(), compute


@contextlib.contextmanager
def _numbers(precision: str, device: torch.device) -> Iterator[None]:
    """Computes with numbers of a precision while the block lasts."""
    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def describe_tensors(module: nn.Module, model: str) -> list[tuple[str, str, list[int], str]]:
    """The name, kind, shape and type of each tensor of a module's `state_dict`; see `spec.own.Tensor`.

    Raises:
        InputError: two names stand for one tensor, or there is no layer to prune.
    """
    parameters = dict(module.named_parameters())
    kinds = {}
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.modules.conv._ConvNd):
            kinds[f"{name}{WEIGHT}".removeprefix(".")] = "weight"
    entries = []
    for name, tensor in module.state_dict().items():
        if name not in parameters and isinstance(tensor, Tensor) and _is_parameter(module, name):
            raise InputError(f"model {model}: {name} is the same tensor as another parameter, which is not supported")
        kind = kinds.get(name, "parameter") if name in parameters else "buffer"
        entries.append((name, kind, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")))
    if not any(kind == "weight" and name.endswith(WEIGHT) for name, kind, _, _ in entries):
        raise InputError(f"model {model}: has no linear layer and no convolution, so there is nothing to prune")
    return entries


def _is_parameter(module: nn.Module, name: str) -> bool:
    owner, _, leaf = name.rpartition(".")
    return isinstance(getattr(module.get_submodule(owner), leaf), nn.Parameter)
