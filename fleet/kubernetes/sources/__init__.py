"""Member sources: which clusters there are, by kubeconfigs or objects of a host, now and after every change.

Belongs here: following files and the host's objects, credentials made into targets, snapshots, and the clusters that
wait in the host to be joined. Never here: whether a member answers (`fleet.members`), its pods and nodes, rights.
"""
