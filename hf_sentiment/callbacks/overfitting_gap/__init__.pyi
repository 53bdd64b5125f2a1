from .callback import OverfittingGapCallback as OverfittingGapCallback
from .remedies import remedies as remedies
from .report import alarm_message as alarm_message
from .report import mean_interval as mean_interval
