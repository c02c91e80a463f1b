-- Rows of one unit may hand unique values to each other: what is unique is looked at when a statement ends.

alter table workspaces
    drop constraint workspaces_folded_name_key,
    add constraint workspaces_folded_name_key unique ("folded_name") deferrable initially immediate;
alter table accounts
    drop constraint accounts_username_key,
    drop constraint accounts_email_key_key,
    add constraint accounts_username_key unique ("username") deferrable initially immediate,
    add constraint accounts_email_key_key unique ("email_key") deferrable initially immediate;
alter table join_requests
    drop constraint join_requests_waiting_key,
    add constraint join_requests_waiting_key unique ("waiting") deferrable initially immediate;
alter table items
    drop constraint items_local_id_key,
    add constraint items_local_id_key unique ("local_id") deferrable initially immediate;
alter table pending
    drop constraint pending_open_digest_key,
    add constraint pending_open_digest_key unique ("open_digest") deferrable initially immediate;
alter table operations
    drop constraint operations_slot_key,
    add constraint operations_slot_key unique ("slot") deferrable initially immediate;
alter table notifications
    drop constraint notifications_user_id_type_source_id_key,
    add constraint notifications_user_id_type_source_id_key
        unique ("user_id", "type", "source_id") deferrable initially immediate;
alter table invitations
    drop constraint invitations_token_hash_key,
    add constraint invitations_token_hash_key unique ("token_hash") deferrable initially immediate;
alter table password_resets
    drop constraint password_resets_token_hash_key,
    add constraint password_resets_token_hash_key unique ("token_hash") deferrable initially immediate;
