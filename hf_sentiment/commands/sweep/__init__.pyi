from .run import sweep as sweep
