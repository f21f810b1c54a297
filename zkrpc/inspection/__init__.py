"""Looking at services from outside, for commands and pages: what there is, what has changed, and what is wrong.

Gathering and judging are kept apart. ``survey`` reads ZooKeeper, and what it finds is plain values; all that is
concluded from them is pure. Nothing here writes, but for the access lists that it is told to put right, and nothing
here knows how a finding is shown.

==================================  ====================================================================================
``overview``, ``survey``            one service at one moment: the value, and how it is read
``changes``                         what has happened between two overviews
``config_names``                    whether the names in a config are those of the IDL that is served
``checks``, ``gathering``           what is wrong, judged by facts, and how these are gathered
``acls``                            access lists beside what they should be, and putting them right
``certificates``                    which certificates of instances end soon
``servers``, ``rights``             the same of ZooKeeper's servers, and of the access lists of our nodes
==================================  ====================================================================================
"""
