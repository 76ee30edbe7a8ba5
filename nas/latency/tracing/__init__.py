"""From any module to the operations it runs, without running any.

trace.py        a module's operations in order, from one pass on tensors without memory
operations.py   what is recorded of an operation, and what a sequence of them keeps in memory
overloads.py    what kind of work each of torch's functions is, and how many FLOPs it takes
fused.py        functions that libraries run as one operation: attention and LSTMs
shapes.py       quick rules for the shapes and strides of results
calls.py        operations with their arguments, so that each can be run alone
"""
