"""The public names of ddlite, which `ddlite/__init__` passes on: what a reader may look for, and where it is."""

from ddlite import baselines, plain, profiles
from ddlite.compare import Comparison
from ddlite.data import Data, Split, from_arrays, load
from ddlite.distill import State, distill
from ddlite.distilled import DistilledSet
from ddlite.engines import adjoint, chain
from ddlite.evaluate import Report, evaluate
from ddlite.goals import Attack, Fit, accuracy
from ddlite.learned import Diverged
from ddlite.networks import MLP, AlexCifarNet, ConvNet3, LeNet, SmallLeNet, initialise
from ddlite.photographs.alexnet import AlexNet, imagenet
from ddlite.pools import PoolStart, pretrain
from ddlite.results import manifest, manifests, shipped
from ddlite.scratch import Recipe, train_from_scratch
from ddlite.starts import FixedStart, RandomStart
from ddlite.storage import Pixels
from ddlite.unroll import loss_of, meta_gradient, outputs_of, train, weights_of

__all__ = ["MLP", "AlexCifarNet", "AlexNet", "Attack", "Comparison", "ConvNet3", "Data", "DistilledSet", "Diverged", "Fit",
           "FixedStart", "LeNet", "Pixels", "PoolStart", "RandomStart", "Recipe", "Report", "SmallLeNet", "Split", "State",
           "accuracy", "adjoint", "baselines", "chain", "distill", "evaluate", "from_arrays", "imagenet", "initialise",
           "load", "loss_of", "manifest", "manifests", "meta_gradient", "outputs_of", "plain", "pretrain", "profiles",
           "shipped", "train", "train_from_scratch", "weights_of"]
