from .folder import write_folder as write_folder
from .graph import write_graph as write_graph
from .int8 import write_int8 as write_int8
from .parity import PROBES as PROBES
from .parity import check_parity as check_parity
