"""Groups and roles: who belongs to what, through any number of steps (acl 4.2)."""

from __future__ import annotations

from collections.abc import Iterator

from aether.acl.model import Edge, Group, InvalidRule, subject
from aether.records import RecordStore, Table

__all__ = ["Membership"]

KINDS = ("group", "role")


class Membership:
    """The graph of groups and roles. Expiry of a membership holds at every question, not only at a reload (W-14)."""

    def __init__(self, records: RecordStore) -> None:
        self._groups: dict[str, Table[Group]] = {kind: Table(records, f"acl_{kind}", Group) for kind in KINDS}
        self._edges = Table(records, "acl_edge", Edge)
        self._of: dict[str, dict[str, Edge]] = {}
        """Edges by member; the inner key is that of the edge."""
        for key, edge in self._edges.items():
            self._of.setdefault(subject(edge.member_type, edge.member_id), {})[key] = edge

    @property
    def ticket(self) -> int:
        return max(self._edges.ticket, *(table.ticket for table in self._groups.values()))

    # ----------------------------------------------------------------------------------------------- questions

    def subjects(self, principal_type: str, principal_id: str, now_ms: int) -> tuple[str, ...]:
        """The principal and every group and role it reaches now, itself first."""
        actor = subject(principal_type, principal_id)
        found = {actor: None}
        open_ = [actor]
        while open_:
            for edge in self._of.get(open_.pop(), {}).values():
                name = subject(edge.kind, edge.name)
                if name not in found and not 0 < edge.expires_ms <= now_ms:
                    found[name] = None
                    open_.append(name)
        return tuple(found)

    def groups(self, kind: str) -> list[Group]:
        """Sorted by name."""
        return sorted(self._groups[kind].values(), key=lambda group: group.name)

    def group(self, kind: str, name: str) -> Group:
        """:raises InvalidRule: there is no such group or role."""
        found = self._groups[kind].get(name)
        if found is None:
            raise InvalidRule(f"{kind} not found")
        return found

    def edges_of_group(self, kind: str, name: str) -> list[Edge]:
        """Direct members, sorted by type and id; none for an unknown group."""
        edges = (edge for edge in self._edges.values() if (edge.kind, edge.name) == (kind, name))
        return sorted(edges, key=lambda edge: (edge.member_type, edge.member_id))

    def edges_of_member(self, kind: str, member_type: str, member_id: str) -> list[Edge]:
        """Direct memberships, sorted by name."""
        edges = self._of.get(subject(member_type, member_id), {}).values()
        return sorted((edge for edge in edges if edge.kind == kind), key=lambda edge: edge.name)

    def expiries(self) -> list[int]:
        """When memberships end, in any order."""
        return [edge.expires_ms for edge in self._edges.values() if edge.expires_ms]

    # ------------------------------------------------------------------------------------------------- changes

    def check_new(self, group: Group) -> None:
        """:raises InvalidRule: without a name, or with one that exists."""
        if not group.name:
            raise InvalidRule(f"{group.kind} name is required")
        if group.name in self._groups[group.kind]:
            raise InvalidRule(f"{group.kind} already exists")

    def create(self, group: Group) -> None:
        """:raises InvalidRule: as :meth:`check_new`."""
        self.check_new(group)
        self._groups[group.kind].put(group.name, group)

    def delete(self, kind: str, name: str) -> None:
        """Remove with all memberships of it and in it.

        :raises InvalidRule: there is no such group or role.
        """
        self.group(kind, name)
        self._groups[kind].delete(name)
        own = ("group", name) if kind == "group" else None
        for key, edge in self._edges.items():
            if (edge.kind, edge.name) == (kind, name) or (edge.member_type, edge.member_id) == own:
                self._drop(key, edge)

    def check_edge(self, edge: Edge) -> None:
        """:raises InvalidRule: the group is unknown, or would come to hold itself."""
        self.group(edge.kind, edge.name)
        if edge.member_type == "group" and edge.kind == "group" and self._reaches(edge.name, edge.member_id):
            raise InvalidRule("membership would create a cycle")

    def add(self, edge: Edge) -> None:
        """Create or replace a membership.

        :raises InvalidRule: as :meth:`check_edge`.
        """
        self.check_edge(edge)
        key = _key(edge)
        self._edges.put(key, edge)
        self._of.setdefault(subject(edge.member_type, edge.member_id), {})[key] = edge

    def edge(self, kind: str, name: str, member_type: str, member_id: str) -> Edge:
        """:raises InvalidRule: there is no such membership."""
        self.group(kind, name)
        edge = self._edges.get(_key(Edge(kind, name, member_type, member_id)))
        if edge is None:
            raise InvalidRule("membership not found" if kind == "group" else "role assignment not found")
        return edge

    def remove(self, kind: str, name: str, member_type: str, member_id: str) -> None:
        """:raises InvalidRule: there is no such membership."""
        edge = self.edge(kind, name, member_type, member_id)
        self._drop(_key(edge), edge)

    def count_expired(self, now_ms: int) -> int:
        """Memberships that ended and are still known."""
        return sum(0 < edge.expires_ms <= now_ms for edge in self._edges.values())

    def remove_expired(self, now_ms: int) -> int:
        """Forget memberships that ended; returns how many."""
        expired = [(key, edge) for key, edge in self._edges.items() if 0 < edge.expires_ms <= now_ms]
        for key, edge in expired:
            self._drop(key, edge)
        return len(expired)

    def _drop(self, key: str, edge: Edge) -> None:
        self._edges.delete(key)
        member = subject(edge.member_type, edge.member_id)
        del self._of[member][key]
        if not self._of[member]:
            del self._of[member]

    def _reaches(self, start: str, goal: str) -> bool:
        """Whether group ``start`` is ``goal`` or a member of it, expired memberships counted: they may be renewed."""
        return goal in self._above(start)

    def _above(self, name: str) -> Iterator[str]:
        found = {name}
        open_ = [name]
        while open_:
            current = open_.pop()
            yield current
            for edge in self._of.get(subject("group", current), {}).values():
                if edge.kind == "group" and edge.name not in found:
                    found.add(edge.name)
                    open_.append(edge.name)


def _key(edge: Edge) -> str:
    """Names may hold any character, so their lengths are part of the key."""
    return f"{edge.kind}:{len(edge.name)}:{edge.name}:{edge.member_type}:{edge.member_id}"
