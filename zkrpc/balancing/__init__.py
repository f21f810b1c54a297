"""Which instance gets the next call: one algorithm a module, all of them pure.

A balancer is handed candidates, dice and the time, and names one candidate. It does not know what a connection is, how
the list of candidates came about, or why somebody should be avoided; that is the client's business.
"""
