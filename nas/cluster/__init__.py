"""Work on a Ray cluster, or on a Ray that is started on this machine. All Ray code is here.

    connection   connect or start, stop, and tell mistakes at once; cleaner: leave nothing behind
    resources    what a command asks for, and whether the cluster has it
    evaluators   the candidates of a search on workers (worker, pace)
    measuring    on the node that has the device
    mapping      a function of many items, as `nas bench` needs it
    training     of a supernet on several workers (training_worker)
    trials       retraining, several networks at once (mailbox, storage)

Ray is imported only when a command was given `--ray`.
"""
