from .exported import FILES as FILES
from .exported import ExportedBackend as ExportedBackend
from .load import BACKENDS as BACKENDS
from .load import load_backend as load_backend
from .protocol import Backend as Backend
from .with_torch import TorchBackend as TorchBackend
