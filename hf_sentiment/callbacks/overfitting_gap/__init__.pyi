from .callback import OverfittingGapCallback as OverfittingGapCallback
from .remedies import remedies as remedies
from .report import alarm_message as alarm_message
from .schedule import planned_evaluations as planned_evaluations
from .schedule import points_to_log as points_to_log
