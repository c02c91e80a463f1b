"""The access matrix: one row for every route of the engine.

A new route needs one row, under its operation id:

    "thing_get": Row(home),                               who gets a 2xx; everybody else 401, 403 or 404
    "thing_make": Row(users, {"name": "x"}),              with a body
    "thing_act": Row(holding("push"), acts=True),         409 while the circuit is inactive or archived

`{name}` in paths and bodies is an object of `world.py` by that name (`circuit_id`, `dfid`, `event_id`, …); a new kind
of object is made there, and so are its private texts, which stand in `CANARIES` with everybody who may read them.
Groups of people stand in `people.py`.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from tests.access.people import (
    Group,
    administrator,
    anybody,
    holding,
    home,
    knowing,
    managers,
    members,
    nobody,
    owner,
    readers,
    some,
    users,
    visitors,
)
from tests.access.world import NUMBERS, PASSWORD


@attrs.frozen
class Row:
    """Who a route serves, and with what it is asked.

    `objects` puts other objects of the world into the path: `{"dfid": "home_dfid"}`. `acts` marks changes in a
    circuit, which need it active; `in_states` names the states in which a route serves where that is neither every
    state nor the active ones. `refused` are the codes with which somebody is refused who has the right, but for
    whom the object is in no state for it. `upload` is a file instead of a body.
    """

    served: Group
    body: Any = None
    query: str = ""
    objects: Mapping[str, str] = attrs.field(factory=dict)
    acts: bool = False
    in_states: tuple[str, ...] | None = None
    refused: tuple[str, ...] = ()
    upload: str | None = None

    def serves_in(self, state: str) -> bool:
        """Tell whether the state of the circuit lets the route do its work."""
        allowed = self.in_states or (("private", "open") if self.acts else None)
        return allowed is None or state in allowed


ALL = "limit=200"
LOT = [{"key": "lote", "value": "matrix"}]
RELEASE, ERASE = ({**number, "reason": "wrong"} for number in NUMBERS)
CONFIRM = {**NUMBERS[0], "source": "SISBOV", "confirmed_at": "2026-01-01T00:00:00Z"}
EVENT = {"dfid": "{dfid}", "category": "vaccination", "payload": {}}
SETTINGS = holding("manage_settings")
PEOPLE = holding("manage_members")
ROLES = holding("manage_roles")
APPROVERS = holding("approve")
OPERATION = home | APPROVERS | holding("audit")

ROWS: Mapping[str, Row] = {
    # accounts
    "account_register": Row(anybody, {"username": "newcomer", "email": "new@example.com", "password": PASSWORD}),
    "account_setup": Row(
        nobody,
        {"setup_token": "x" * 43, "username": "newcomer", "email": "new@example.com", "password": PASSWORD},
    ),
    "session_open": Row(anybody, {"username": "stranger", "password": PASSWORD}),
    "session_refresh": Row(nobody, {"refresh_token": "dfr_" + "x" * 43}),
    "password_reset": Row(nobody, {"reset_token": "x" * 43, "new_password": "another brown ox grazes"}),
    "password_change": Row(users, {"current_password": PASSWORD, "new_password": "another brown ox grazes"}),
    "session_close": Row(users),
    "session_close_all": Row(users),
    "session_list": Row(users, query=ALL),
    "session_revoke": Row(some("member")),
    "profile_get": Row(users),
    "profile_update": Row(users, {"display_name": "New Name"}),
    "user_find": Row(users),
    "workspace_get": Row(users),
    "workspace_update": Row(managers, {"name": "New Farm"}),
    "workspace_member_list": Row(users, query=ALL),
    "workspace_member_update": Row(some("member"), {"workspace_role": "manager"}, objects={"user_id": "colleague_id"}),
    "workspace_member_freeze": Row(some("member"), {"reason": "left"}, objects={"user_id": "colleague_id"}),
    "workspace_member_unfreeze": Row(some("member"), objects={"user_id": "colleague_id"}),
    "invitation_create": Row(managers, {"workspace_role": "member"}),
    "invitation_list": Row(managers, query=ALL),
    "invitation_get": Row(some("member")),
    "invitation_revoke": Row(some("member")),
    "api_key_create": Row(users, {"name": "new", "scopes": ["items:read"]}),
    "api_key_list": Row(users, query=ALL),
    "api_key_get": Row(some("member")),
    "api_key_usage": Row(some("member")),
    "api_key_update": Row(some("member"), {"name": "new"}),
    "api_key_rotate": Row(some("member")),
    "api_key_revoke": Row(some("member")),
    # administration
    "admin_user_list": Row(administrator, query=ALL),
    "admin_user_get": Row(administrator),
    "admin_user_sessions": Row(administrator, query=ALL),
    "admin_user_create": Row(administrator, {"username": "newcomer", "email": "new@example.com"}),
    "admin_user_update": Row(administrator, {"display_name": "New Name"}),
    "admin_user_reset_password": Row(administrator),
    "admin_user_freeze": Row(administrator, {"reason": "left"}),
    "admin_user_unfreeze": Row(administrator),
    "admin_user_erase": Row(administrator, {"reason": "asked"}, objects={"user_id": "frozen_id"}),
    "admin_user_logout_all": Row(administrator),
    "admin_workspace_list": Row(administrator, query=ALL),
    "admin_workspace_get": Row(administrator),
    "admin_workspace_create": Row(administrator, {"name": "New Farm"}),
    "admin_workspace_update": Row(administrator, {"name": "New Farm"}),
    "dashboard_stats": Row(administrator),
    "job_list": Row(administrator, query=ALL),
    "job_retry": Row(administrator),
    "configuration_get": Row(administrator),
    "doctor_run": Row(administrator),
    "cache_stats": Row(administrator),
    "cache_invalidate_items": Row(administrator),
    "cache_invalidate_circuits": Row(administrator),
    "dispute_list": Row(administrator, query=ALL),
    "identifier_confirm": Row(administrator, CONFIRM),
    "identifier_release": Row(administrator, RELEASE),
    "identifier_erase": Row(administrator, ERASE),
    "event_erase": Row(administrator, {"reason": "personal data"}),
    # activity and notifications
    "activity_list": Row(users, query=ALL),
    "activity_stats": Row(users),
    "activity_get": Row(members),
    "circuit_activity_list": Row(members, query=ALL),
    "notification_list": Row(users, query=ALL),
    "notification_unread_count": Row(users),
    "notification_get": Row(some("bare")),
    "notification_mark": Row(some("bare"), {"read": True}),
    "notification_mark_all": Row(users, {}),
    "notification_remove": Row(some("bare")),
    "notification_remove_read": Row(users, query="read=true"),
    "notification_preferences_get": Row(users),
    "notification_preferences_set": Row(users, {"muted": ["item_reshared"]}),
    "notification_stream": Row(users, query="after_position=0"),
    "notification_socket": Row(nobody),
    # audit
    "audit_entry_list": Row(administrator | holding("audit"), query=f"{ALL}&circuit_id={{circuit_id}}"),
    "audit_entry_get": Row(administrator | holding("audit")),
    "audit_dashboard_get": Row(administrator),
    "audit_export": Row(administrator),
    "audit_checkpoint_get": Row(administrator),
    "audit_entry_prove": Row(administrator),
    "audit_log_prove": Row(administrator, query="from=1"),
    "report_ask": Row(users, {"kind": "subject_access"}),
    "report_list": Row(users, query=ALL),
    "report_get": Row(some("bare") | administrator),
    "report_content": Row(some("bare") | administrator),
    "incident_list": Row(administrator, query=ALL),
    "incident_open": Row(administrator, {"title": "Stolen laptop", "severity": "high", "category": "other"}),
    "incident_get": Row(administrator),
    "incident_update": Row(administrator, {"severity": "low"}),
    "incident_note": Row(administrator, {"text": "seen"}),
    # items
    "item_create": Row(users, {"identifiers": LOT}),
    "item_create_batch": Row(users, {"items": [{"identifiers": LOT}]}),
    "item_list": Row(users, query=f"{ALL}&access=all&status=all"),
    "item_find": Row(users, query=f"{ALL}&access=all&q=canary"),
    "item_search": Row(users, {"access": "all", "q": "canary", "limit": 200}),
    "item_list_by_identifier": Row(users, query=ALL),
    "item_get": Row(readers, query="include=contributions"),
    "item_update": Row(home, {"data": {"peso": 1}}),
    "item_enrich": Row(home, {"data": {"peso": 1}}),
    "item_deprecate": Row(home),
    "item_restore": Row(home),
    "item_delete": Row(home, objects={"dfid": "home_dfid"}),
    "item_share": Row(home, {"recipient_user_id": "{stranger_id}"}),
    "share_list": Row(home, query=ALL),
    "share_revoke": Row(home),
    "share_list_received": Row(some("friend"), query=ALL, objects={"user_id": "friend_id"}),
    "share_check": Row(home, objects={"user_id": "friend_id"}),
    "item_merge": Row(home, {"source_dfid": "{home_dfid}"}),
    "item_unmerge": Row(nobody, refused=("not_merged",)),
    "item_split": Row(home, {"mode": "divide", "parts": [{"identifiers": LOT}]}),
    "contribution_list": Row(readers, query=ALL),
    "item_stats": Row(users),
    "item_duplicates": Row(users, query=ALL),
    "item_storage_history": Row(home | administrator),
    "storage_history_get": Row(home | administrator),
    "storage_location_list": Row(home | administrator),
    "storage_statistics": Row(administrator),
    "item_timeline": Row(readers, query=ALL),
    "item_timeline_position": Row(readers),
    "placement_list_of_item": Row(readers, query=ALL),
    # transfers
    "transfer_offer": Row(some("member"), {"to_workspace_id": "{stranger_home_id}"}, objects={"dfid": "home_dfid"}),
    "transfer_offer_many": Row(users, {"dfids": ["{home_dfid}"], "to_workspace_id": "{stranger_home_id}"}),
    "transfer_list": Row(users, query=ALL),
    "transfer_get": Row(home | some("stranger")),
    "transfer_accept": Row(some("stranger")),
    "transfer_decline": Row(some("stranger")),
    "transfer_cancel": Row(home),
    "transfer_decide_many": Row(users, {"decision": "decline", "transfer_ids": ["{transfer_id}"]}),
    # drafts, queue, imports
    "draft_create": Row(users, {"identifiers": LOT}),
    "draft_list": Row(users, query=ALL),
    "draft_get": Row(home),
    "draft_update": Row(home, {"data": {"peso": 1}}),
    "draft_delete": Row(home),
    "draft_promote": Row(home),
    "mapping_get": Row(home),
    "draft_merge": Row(home, {"master_lid": "{local_id}", "merge_lids": ["{other_local_id}"]}),
    "draft_unmerge": Row(nobody, {"merged_lid": "{local_id}"}, refused=("not_merged",)),
    "draft_organize": Row(users, {"action": "deduplicate"}),
    "draft_duplicates": Row(users, query=ALL),
    "pending_list": Row(users, query=ALL),
    "pending_get": Row(home),
    "pending_resolve": Row(home, {"action": "reject"}),
    "import_run": Row(users, upload="sisbov\n076000000000002\n"),
    "import_list": Row(users, query=ALL),
    "import_get": Row(home),
    "import_rows": Row(home, query=ALL),
    # events
    "event_append": Row(home, EVENT),
    "event_append_batch": Row(users, {"events": [EVENT]}),
    "event_list": Row(users, query=ALL),
    "event_timeline": Row(users, query=ALL),
    "event_list_of_item": Row(readers, query=ALL),
    "event_chain_verify": Row(readers),
    "event_chain_export": Row(readers),
    "event_get": Row(home),
    # circuits
    "circuit_create": Row(users, {"name": "Another"}),
    "circuit_list": Row(users, query=f"{ALL}&status=active,inactive,archived"),
    "circuit_get": Row(members),
    "circuit_update": Row(SETTINGS, {"description": "new"}, acts=True),
    "circuit_deactivate": Row(SETTINGS, in_states=("private", "open", "inactive")),
    "circuit_activate": Row(SETTINGS, in_states=("private", "open", "inactive")),
    "circuit_archive": Row(holding("delete")),
    "circuit_transfer": Row(owner, {"member_id": "{viewer_id}"}, acts=True),
    "circuit_get_public_settings": Row(SETTINGS),
    "circuit_update_public_settings": Row(SETTINGS, {"tagline": "new"}, acts=True),
    "circuit_stats": Row(members),
    "member_add": Row(holding("invite"), {"member_id": "{stranger_id}", "role": "unused"}, acts=True),
    "member_list": Row(members, query=ALL),
    "member_get_own": Row(members),
    "member_get": Row(members),
    "member_change_role": Row(PEOPLE, {"role": "unused"}, acts=True),
    "member_leave": Row(members - owner, acts=True, refused=("owner_cannot_leave",)),
    "member_remove": Row(PEOPLE | some("bare"), acts=True),
    "role_create": Row(ROLES, {"name": "new", "permissions": []}, acts=True),
    "role_list": Row(members, query=ALL),
    "role_get": Row(members),
    "role_update": Row(ROLES, {"description": "new"}, acts=True),
    "role_delete": Row(ROLES, acts=True),
    "join_request_create": Row(
        (users - members).while_open, {}, refused=("already_member", "join_cool_down", "request_pending")
    ),
    "join_request_create_at_page": Row(
        (users - members).while_open, {}, refused=("already_member", "join_cool_down", "request_pending")
    ),
    "join_request_list": Row(PEOPLE | some("asker"), query=ALL),
    "join_request_list_pending": Row(PEOPLE | some("asker"), query=ALL),
    "join_request_list_own": Row(users, query=ALL),
    "join_request_get": Row(PEOPLE | some("asker")),
    "join_request_approve": Row(PEOPLE, {"role": "unused"}, acts=True),
    "join_request_reject": Row(PEOPLE, acts=True),
    "join_request_cancel": Row(some("asker"), acts=True),
    # sharing
    "item_push": Row(some("member"), acts=True),
    "draft_push": Row(some("member"), {"local_id": "{local_id}"}, acts=True),
    "item_push_batch": Row(holding("push"), {"items": [{"dfid": "{dfid}"}, {"local_id": "{local_id}"}]}, acts=True),
    "item_pull": Row(holding("pull"), acts=True),
    "item_withdraw": Row(home | holding("delete"), acts=True),
    "placement_list": Row(members, query=f"{ALL}&include=item"),
    "placement_get": Row(home | holding("pull").while_active),
    "item_publish": Row(holding("publish"), acts=True),
    "item_unpublish": Row(home | holding("publish"), acts=True),
    "item_publish_many": Row(members, {"dfids": ["{dfid}"], "published": True}, acts=True),
    "operation_list": Row(members, query=ALL),
    "operation_list_pending": Row(members, query=ALL),
    "operation_get": Row(OPERATION),
    "operation_decide_many": Row(members, {"decision": "reject", "operation_ids": ["{operation_id}"]}, acts=True),
    "operation_approve": Row(APPROVERS, acts=True),
    "operation_reject": Row(APPROVERS, acts=True),
    "operation_cancel": Row(home, acts=True),
    "operation_approve_short": Row(APPROVERS, acts=True),
    "operation_reject_short": Row(APPROVERS, acts=True),
    "operation_cancel_short": Row(home, acts=True),
    # pages
    "page_list": Row(users | some("anonymous"), query=ALL),
    "page_token_create": Row(visitors, {"access_password": PASSWORD}, refused=("page_not_protected",)),
    "page_get": Row(visitors),
    "page_item_list": Row(visitors, query=ALL),
    "page_item_get": Row(visitors),
    "page_event_list": Row(visitors, query=ALL),
    # access
    "access_explain": Row(readers | users.while_open, query="action=item.view&dfid={dfid}"),
    "circuit_preview": Row(PEOPLE, query=f"{ALL}&as={{viewer_id}}"),
    # webhooks
    "post_actions_get": Row(SETTINGS),
    "post_actions_update": Row(SETTINGS, {"enabled": False}, acts=True),
    "webhook_list": Row(SETTINGS, query=ALL),
    "webhook_create": Row(SETTINGS, {"name": "ERP", "url": "https://erp.example.org/"}, acts=True),
    "webhook_get": Row(SETTINGS),
    "webhook_update": Row(SETTINGS, {"name": "new"}, acts=True),
    "webhook_delete": Row(SETTINGS, acts=True),
    "webhook_rotate_secret": Row(SETTINGS, {}, acts=True),
    "webhook_test": Row(SETTINGS, acts=True),
    "delivery_list": Row(SETTINGS, query=ALL),
    "delivery_get": Row(SETTINGS),
    "delivery_replay": Row(nobody, refused=("delivery_running", "circuit_not_active")),
    # notifications
    "ticket_issue": Row(users),
    # identifiers
    "identifier_check": Row(users, {"identifiers": LOT}),
    "identifier_types": Row(users),
}

KNOWN: Mapping[str, Group] = {
    "circuit_id": knowing,
    "dfid": readers,
    "home_dfid": home,
    "local_id": home,
    "other_local_id": home,
    "event_id": home,
    "pending_id": home,
    "import_id": home,
    "share_id": home,
    "transfer_id": home | some("stranger"),
    "operation_id": OPERATION,
    "request_id": PEOPLE | some("asker"),
    "name": members,
    "activity_id": members,
    "notification_id": some("bare"),
    "incident_id": administrator,
    "report_id": some("bare") | administrator,
    "entry_id": administrator | holding("audit"),
    "session_id": some("member"),
    "invitation_id": some("member"),
    "key_id": some("member"),
    "webhook_id": SETTINGS,
    "delivery_id": SETTINGS,
}
"""Who may know an object. To everybody else it is as if it did not exist."""

REACHED_WITHOUT_CIRCUIT = ("operation_id", "request_id")
"""What those who may know it reach without knowing its circuit (circuits.md 0)."""

CANARIES: Mapping[str, Group] = {
    "canary-circuit-name": members | some("colleague"),
    "canary-circuit-text": members,
    "canary-page-text": members | visitors,
    "canary-role-name": members,
    "canary-lot": readers | visitors,
    "canary-item-text": readers | visitors,
    "canary-home-lot": home,
    "canary-offered-lot": home | some("stranger"),
    "canary-offered-text": home,
    "canary-draft-text": home,
    "canary-draft-lot": home,
    "canary-public-event": readers | visitors,
    "canary-circuit_only-event": home | holding("pull").while_active,
    "canary-direct-event": home | some("friend"),
    "canary-private-event": home,
    "canary-pending-text": home,
    "canary-import-text": home,
    "canary-invited@example.com": some("member"),
    "canary-key-text": some("member"),
    "canary-held-text": home | APPROVERS,
    "canary-held-lot": home | APPROVERS,
    # They were told of it while they could decide it.
    "canary-join-message": PEOPLE | some("asker", "removed"),
    "member@example.com": some("member") | administrator,
    "colleague@example.com": home | administrator,
    "stranger@example.com": some("stranger") | administrator,
    # What is changed, and from what to what, stands in the audit.
    "canary-webhook-name": SETTINGS | holding("audit") | administrator,
    "canary-header": nobody,
    PASSWORD: nobody,
    "$argon2": nobody,
}
"""Private texts, and everybody who may find them in an answer."""
