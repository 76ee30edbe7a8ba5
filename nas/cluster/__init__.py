"""Work on a Ray cluster, or on a Ray that is started on this machine. All Ray code is here.

    connection   connect or start, stop, and tell mistakes at once
    resources    what a command asks for, and whether the cluster has it

Ray is imported only when a command was given `--ray`.
"""
