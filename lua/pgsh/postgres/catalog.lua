-- What is read of the catalogues for an inventory. Each entry is one statement, whose rows become plain tables.
--
-- Columns that only some versions have are taken from to_jsonb(row): absent ones are NULL there instead of an error.
local catalog = {}

-- Rights, sorted; NULL when they are what the owner has anyway: a dump does not tell the two apart.
local function acl(kind, column, owner)
  return ([[(select string_agg(a::text, ' ' order by a::text collate "C") from unnest(%s) a
    where (select array_agg(x order by x::text collate "C") from unnest(%s) x)
      is distinct from (select array_agg(x order by x::text collate "C") from unnest(acldefault('%s', %s)) x))]])
    :format(column, column, kind, owner)
end

local USER_SCHEMA = [[n.nspname <> 'information_schema' and n.nspname !~ '^pg_(catalog$|toast|temp)']]

local function comment(class, oid)
  return ("obj_description(%s, '%s')"):format(oid, class)
end

-- ---- the server ----

catalog.server = [[select current_setting('server_version') as version, current_setting('server_version_num')::int as version_num]]

catalog.current_database = "select current_database()"

catalog.databases = [[
select d.datname as name, d.oid::int8 as oid, pg_get_userbyid(d.datdba) as owner, pg_encoding_to_char(d.encoding) as encoding,
  j->>'datcollate' as collate, j->>'datctype' as ctype,
  case j->>'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' when 'c' then 'libc' end as provider,
  coalesce(j->>'datlocale', j->>'daticulocale') as icu_locale, j->>'daticurules' as icu_rules,
  j->>'datcollversion' as collation_version, d.datconnlimit as connection_limit, d.datistemplate as is_template,
  d.datallowconn as allow_connections, t.spcname as tablespace, ]] .. acl("d", "d.datacl", "d.datdba") .. [[ as privileges,
  shobj_description(d.oid, 'pg_database') as comment,
  case when $1 and (has_database_privilege(d.oid, 'connect') or pg_has_role('pg_read_all_stats', 'member'))
    then pg_database_size(d.oid) end as size
from pg_database d join pg_tablespace t on t.oid = d.dattablespace, to_jsonb(d) j
order by d.datname collate "C"]]

catalog.roles = [[
select rolname as name, rolsuper as superuser, rolinherit as inherit, rolcreaterole as create_role, rolcreatedb as create_db,
  rolcanlogin as login, rolreplication as replication, rolbypassrls as bypass_rls, rolconnlimit as connection_limit,
  case when rolvaliduntil = 'infinity' then 'infinity' else to_char(rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USZ') end
    as valid_until, shobj_description(oid, 'pg_authid') as comment
from pg_roles where oid >= 16384 or rolname !~ '^pg_' order by rolname collate "C"]]

catalog.memberships = [[
select r.rolname as role, m.rolname as member, bool_or(a.admin_option) as admin,
  bool_or((j->>'inherit_option')::bool) as inherit, bool_or((j->>'set_option')::bool) as "set"
from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member, to_jsonb(a) j
where m.rolname !~ '^pg_' group by 1, 2 order by r.rolname collate "C", m.rolname collate "C"]]

catalog.settings = [[
select coalesce(d.datname, '') as database, coalesce(r.rolname, '') as role, c as setting
from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole,
  unnest(s.setconfig) c order by d.datname collate "C" nulls first, r.rolname collate "C" nulls first, c collate "C"]]

catalog.tablespaces = [[
select spcname as name, pg_get_userbyid(spcowner) as owner, pg_tablespace_location(oid) as location,
  array_to_string(spcoptions, ', ') as options, ]] .. acl("t", "spcacl", "spcowner") .. [[ as privileges
from pg_tablespace order by spcname collate "C"]]

-- ---- one database ----

catalog.extensions = [[
select e.extname as name, e.extversion as version, n.nspname as schema
from pg_extension e join pg_namespace n on n.oid = e.extnamespace order by e.extname collate "C"]]

catalog.schemas = [[
select n.nspname as name, pg_get_userbyid(n.nspowner) as owner, ]] .. acl("n", "n.nspacl", "n.nspowner") .. [[ as privileges, ]]
  .. comment("pg_namespace", "n.oid") .. [[ as comment
from pg_namespace n where ]] .. USER_SCHEMA .. [[ order by n.nspname collate "C"]]

-- countable: its own rows can be counted by this role, and are all that are there.
catalog.tables = [[
select c.oid::int8 as oid, n.nspname as schema, c.relname as name,
  case c.relkind when 'r' then 'table' when 'p' then 'partitioned' when 'f' then 'foreign' when 'm' then 'materialized view' end as kind,
  c.relispartition as is_partition, c.relpersistence = 'u' as unlogged, c.relispopulated as populated, c.relrowsecurity as row_security,
  pg_get_userbyid(c.relowner) as owner, ]] .. acl("r", "c.relacl", "c.relowner") .. [[ as privileges,
  (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)::int as columns,
  (select md5(string_agg(format('%s %s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
      pg_get_expr(d.adbin, d.adrelid)), E'\n' order by a.attnum))
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns_md5,
  greatest(c.reltuples, 0)::int8 as estimate, ]] .. comment("pg_class", "c.oid") .. [[ as comment,
  case when $1 then pg_total_relation_size(c.oid) end as size,
  c.relkind in ('r', 'm') and c.relispopulated and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
    and not row_security_active(c.oid) as countable,
  format('%I.%I', n.nspname, c.relname) as sql
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f', 'm') and c.relpersistence <> 't' and ]] .. USER_SCHEMA .. [[
order by n.nspname collate "C", c.relname collate "C"]]

catalog.sequences = [[
select c.oid::int8 as oid, n.nspname as schema, c.relname as name, pg_get_userbyid(c.relowner) as owner,
  format_type(s.seqtypid, null) as type, s.seqstart as start, s.seqincrement as increment, s.seqmin as min, s.seqmax as max,
  s.seqcycle as cycle, ]] .. acl("s", "c.relacl", "c.relowner") .. [[ as privileges,
  has_schema_privilege(n.oid, 'usage') and has_sequence_privilege(c.oid, 'select') as countable,
  format('%I.%I', n.nspname, c.relname) as sql
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_sequence s on s.seqrelid = c.oid
where c.relkind = 'S' and c.relpersistence <> 't' and ]] .. USER_SCHEMA .. [[
order by n.nspname collate "C", c.relname collate "C"]]

-- Every kind of object that is only counted. prokind came with version 11.
catalog.counts = [[
select
  (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'v' and ]] .. USER_SCHEMA .. [[)
    as views,
  (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('i', 'I') and ]] .. USER_SCHEMA .. [[)
    as indexes,
  (select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ]] .. USER_SCHEMA .. [[) as functions,
  (select md5(string_agg(format('%s.%s(%s) %s', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc)), E'\n'
      order by n.nspname collate "C", p.proname collate "C", pg_get_function_identity_arguments(p.oid) collate "C"))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ]] .. USER_SCHEMA .. [[) as functions_md5,
  (select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where not t.tgisinternal and ]] .. USER_SCHEMA .. [[) as triggers,
  (select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where not t.tgisinternal and t.tgenabled = 'D' and ]] .. USER_SCHEMA .. [[) as disabled_triggers,
  (select count(*) from pg_constraint c join pg_namespace n on n.oid = c.connamespace where c.contype = 'p' and ]] .. USER_SCHEMA .. [[)
    as primary_keys,
  (select count(*) from pg_constraint c join pg_namespace n on n.oid = c.connamespace where c.contype = 'f' and ]] .. USER_SCHEMA .. [[)
    as foreign_keys,
  (select count(*) from pg_constraint c join pg_namespace n on n.oid = c.connamespace where c.contype = 'c' and ]] .. USER_SCHEMA .. [[)
    as check_constraints,
  (select count(*) from pg_constraint c join pg_namespace n on n.oid = c.connamespace where c.contype in ('u', 'x') and ]] .. USER_SCHEMA
  .. [[) as unique_constraints,
  (select count(*) from pg_constraint c join pg_namespace n on n.oid = c.connamespace where not c.convalidated and ]] .. USER_SCHEMA .. [[)
    as constraints_not_valid,
  (select count(*) from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype = 'e' and ]] .. USER_SCHEMA .. [[)
    as enums,
  (select count(*) from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype = 'd' and ]] .. USER_SCHEMA .. [[)
    as domains,
  (select count(*) from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype = 'r' and ]] .. USER_SCHEMA .. [[)
    as ranges,
  (select count(*) from pg_policy) as policies,
  (select count(*) from pg_event_trigger) as event_triggers,
  (select count(*) from pg_foreign_server) as foreign_servers,
  (select count(*) from pg_default_acl) as default_privileges,
  (select count(*) from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
    where c.relkind not in ('v', 'm') and ]] .. USER_SCHEMA .. [[) as rules]]

catalog.invalid_indexes = [[
select format('%I.%I', n.nspname, c.relname) as name
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
where not i.indisvalid and ]] .. USER_SCHEMA .. [[ order by n.nspname collate "C", c.relname collate "C"]]

catalog.collations = [[
select n.nspname as schema, c.collname as name, j->>'collprovider' as provider, j->>'collcollate' as collate, j->>'collctype' as ctype,
  coalesce(j->>'colllocale', j->>'colliculocale') as icu_locale, j->>'collversion' as collation_version
from pg_collation c join pg_namespace n on n.oid = c.collnamespace, to_jsonb(c) j
where ]] .. USER_SCHEMA .. [[ order by n.nspname collate "C", c.collname collate "C"]]

-- Columns that do not have their type's collation.
catalog.column_collations = [[
select n.nspname as schema, r.relname as table, a.attname as column, format('%I.%I', cn.nspname, c.collname) as collation,
  to_jsonb(c)->>'collversion' as collation_version
from pg_attribute a join pg_class r on r.oid = a.attrelid join pg_namespace n on n.oid = r.relnamespace
  join pg_type t on t.oid = a.atttypid join pg_collation c on c.oid = a.attcollation join pg_namespace cn on cn.oid = c.collnamespace
where a.attcollation <> t.typcollation and a.attnum > 0 and not a.attisdropped and r.relkind in ('r', 'p', 'f', 'm', 'v')
  and ]] .. USER_SCHEMA .. [[
order by n.nspname collate "C", r.relname collate "C", a.attnum]]

catalog.publications = [[
select p.pubname as name, pg_get_userbyid(p.pubowner) as owner, p.puballtables as all_tables, p.pubinsert as insert,
  p.pubupdate as update, p.pubdelete as delete,
  (select count(*) from pg_publication_rel r where r.prpubid = p.oid)::int as tables
from pg_publication p order by p.pubname collate "C"]]

-- Not subconninfo: it has a password, and may not be read by everybody.
catalog.subscriptions = [[
select s.subname as name, pg_get_userbyid(s.subowner) as owner, s.subenabled as enabled, s.subslotname as slot
from pg_subscription s where s.subdbid = (select oid from pg_database where datname = current_database())
order by s.subname collate "C"]]

catalog.may_read_large_objects = [[select has_table_privilege('pg_catalog.pg_largeobject', 'select')]]

-- Alike for the same bytes: a page that is all zeros is as good as one that is not stored, and so are zeros at a page's end.
catalog.large_objects = [[
with page as (
  select loid, pageno, length(data) as length, btrim('\x01'::bytea || data, '\x00'::bytea) as data from pg_largeobject
), object as (
  select loid, max(pageno * (current_setting('block_size')::int8 / 4) + length) as bytes,
    md5(string_agg(format('%s %s', pageno, md5(data)), ' ' order by pageno) filter (where data <> '\x01')) as digest
  from page group by loid
)
select (select count(*) from pg_largeobject_metadata) as count, coalesce(sum(bytes), 0)::int8 as bytes,
  md5(string_agg(format('%s %s %s', loid, bytes, digest), ' ' order by loid)) as digest
from object]]

catalog.large_object_count = [[select count(*) as count from pg_largeobject_metadata]]

-- For who can ask several things at once: { statement, parameters… } each. What is asked besides depends on the answers.
function catalog.of_a_server(sizes)
  return {
    { catalog.server }, { catalog.databases, sizes }, { catalog.roles }, { catalog.memberships }, { catalog.settings },
    { catalog.tablespaces }, { catalog.current_database },
  }
end

function catalog.of_a_database(sizes)
  return {
    { catalog.extensions }, { catalog.schemas }, { catalog.tables, sizes }, { catalog.sequences }, { catalog.may_read_large_objects },
    { catalog.counts }, { catalog.invalid_indexes }, { catalog.collations }, { catalog.column_collations }, { catalog.publications },
  }
end

return catalog
