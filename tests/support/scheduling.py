"""Which process runs which tests, when several run tests that start servers."""

from xdist.scheduler import LoadScopeScheduling

# Their tests share what a session's fixture starts at fixed addresses: one process runs all of a folder.
RIGS = ("tests/components/edge/", "tests/components/hops/", "tests/mesh/", "tests/system/stack/")


class ByServers(LoadScopeScheduling):
    """
    Gives a process a rig or a module at a time, the rigs first, since they take longest.

    A process goes on with the folder that it has begun, and then with one that nobody has, since each process starts
    a folder's servers for itself.
    """

    def _split_scope(self, nodeid):
        return next((rig for rig in RIGS if nodeid.startswith(rig)), nodeid.partition("::")[0])

    def _assign_work_unit(self, node):
        self.workqueue.move_to_end(min(self.workqueue, key=lambda scope: self._rank(scope, node)), last=False)
        super()._assign_work_unit(node)

    def _rank(self, scope, node):
        begun_by = [each for each, units in self.assigned_work.items() if _folder(scope) in map(_folder, units)]
        begun = 0 if node in begun_by else 2 if begun_by else 1
        return (scope not in RIGS, begun, -len(self.workqueue[scope]), scope)


def _folder(scope):
    return scope.rstrip("/").rpartition("/")[0]
