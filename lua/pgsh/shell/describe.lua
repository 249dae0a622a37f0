-- describe: what there is in a database: \d and its family, as fingers that know psql expect them. Reads, which wait for nobody's
-- lock longer than LOCK_TIMEOUT; a size that a lock keeps from being read is left out.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local describe = {}

local LOCK_TIMEOUT = "2s"
local MOST = 20        -- relations that one \d describes
local PARTITIONS = 30  -- that one \d lists; \d+ lists all
local LOCKED = "55P03" -- sqlstate

local function out(text) host.emit("output", { text = text }) end

local function patience() return require("pgsh.psql").options { lock_timeout = LOCK_TIMEOUT } end

-- Names ----------------------------------------------------------------------------------------------------------------------

---A name as psql takes it: small letters unless in double quotes, * and ? stand for others, schema.name; what follows a blank does
---not belong to it. Regular expressions; a part that is not said is nil.
---@param text string
---@return {schema: string?, name: string?}
function describe.pattern(text)
  local parts, part, quoted, i = {}, {}, false, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == '"' and quoted and text:sub(i + 1, i + 1) == '"' then
      part[#part + 1] = '"'
      i = i + 1
    elseif c == '"' then
      quoted = not quoted
    elseif quoted then
      part[#part + 1] = c:find "[%^%$%.%[%]|%(%)%*%+%?{}\\]" and "\\" .. c or c
    elseif c:find "%s" then
      break
    elseif c == "." then
      parts[#parts + 1] = table.concat(part)
      part = {}
    else
      part[#part + 1] = ({ ["*"] = ".*", ["?"] = ".", ["$"] = "\\$" })[c] or c:lower()
    end
    i = i + 1
  end
  parts[#parts + 1] = table.concat(part)
  if #parts > 2 then errors.raise("usage", "%s: schema.name is looked for in this database; \\c NAME goes to another", text) end
  local function whole(expression) return expression and expression ~= "" and "^(" .. expression .. ")$" or nil end
  return { schema = whole(#parts == 2 and parts[1] or nil), name = whole(parts[#parts]) }
end

-- $1 schema, $2 name, $3 system objects too: without a schema what needs none.
local function named(schema, name, visible)
  return (([[(case when $1::text is null then VISIBLE else SCHEMA::text ~ $1 end) and ($2::text is null or NAME::text ~ $2)
    and ($1 is not null or $2 is not null or $3::boolean or SCHEMA not in ('pg_catalog', 'information_schema'))]])
    :gsub("%u+", { SCHEMA = schema, NAME = name, VISIBLE = visible }))
end

-- Lists ----------------------------------------------------------------------------------------------------------------------

local KIND = [[case c.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view' when 'm' then 'materialized view'
  when 'i' then 'index' when 'I' then 'partitioned index' when 'S' then 'sequence' when 'f' then 'foreign table'
  when 'c' then 'composite type' when 't' then 'TOAST table' end]]

-- Somebody holds, or wants, the whole table: reading its size, or the text of an expression on it, would wait.
local HIDDEN = [[c.oid in (select l.relation from pg_locks l where l.mode = 'AccessExclusiveLock'
  and l.database = (select oid from pg_database where datname = current_database()))]]
local SIZE = "case when " .. HIDDEN .. " then '(locked)' else pg_size_pretty(pg_table_size(c.oid)) end"

local function relations_sql(kinds, plus, sizes)
  local columns = { "n.nspname as schema", "c.relname as name", KIND .. " as type", "pg_get_userbyid(c.relowner) as owner" }
  local function add(text) columns[#columns + 1] = text end
  if kinds:find "[iI]" then add "t.relname as table" end
  if plus then
    add "case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary' else 'permanent' end as persistence"
    if sizes then add(SIZE .. " as size") end
    add "obj_description(c.oid, 'pg_class') as description"
  end
  return ("select %s from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_index x on x.indexrelid = c.oid "
    .. "left join pg_class t on t.oid = x.indrelid where c.relkind::text = any($4::text[]) and ($1::text is not null "
    .. "or n.nspname !~ '^pg_toast') and %s order by 1, 2"):format(table.concat(columns, ", "),
    named("n.nspname", "c.relname", "pg_table_is_visible(c.oid)"))
end

local FUNCTIONS = [[
select n.nspname as schema, p.proname as name, pg_get_function_result(p.oid) as result, pg_get_function_arguments(p.oid) as arguments,
       case when p.prorettype = 'trigger'::regtype then 'trigger' when p.prokind = 'a' then 'aggregate' when p.prokind = 'w' then 'window'
            when p.prokind = 'p' then 'procedure' else 'function' end as type{+, pg_get_userbyid(p.proowner) as owner,
       l.lanname as language, case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility,
       case p.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end as parallel,
       case when p.prosecdef then 'definer' else 'invoker' end as security, obj_description(p.oid, 'pg_proc') as description+}
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
 where NAMED order by 1, 2, 4]]

-- Each: SQL with {+ … +} for the letter +, NAMED where a pattern is asked for; and what the pattern is about.
local LISTS = {
  df = { FUNCTIONS, "n.nspname", "p.proname", "pg_function_is_visible(p.oid)" },
  dT = { [[
select n.nspname as schema, format_type(t.oid, null) as name, case t.typtype when 'c' then 'composite' when 'd' then 'domain'
       when 'e' then 'enum' when 'r' then 'range' when 'm' then 'multirange' else 'base' end as type{+,
       (select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid) as elements,
       pg_get_userbyid(t.typowner) as owner+}, obj_description(t.oid, 'pg_type') as description
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
 where (t.typrelid = 0 or (select c.relkind = 'c' from pg_class c where c.oid = t.typrelid))
   and not exists (select from pg_type e where e.typarray = t.oid) and n.nspname !~ '^pg_toast' and NAMED order by 1, 2]],
    "n.nspname", "t.typname", "pg_type_is_visible(t.oid)" },
  dp = { ([[
select n.nspname as schema, c.relname as name, KIND as type, array_to_string(c.relacl, ', ') as privileges,
       (select string_agg(a.attname || ': ' || array_to_string(a.attacl, ', '), '; ' order by a.attnum) from pg_attribute a
         where a.attrelid = c.oid and not a.attisdropped and a.attacl is not null) as columns,
       (select string_agg(p.polname, ', ' order by p.polname) from pg_policy p where p.polrelid = c.oid) as policies
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'v', 'm', 'S', 'f', 'p') and n.nspname !~ '^pg_toast' and NAMED order by 1, 2]]):gsub("KIND", KIND),
    "n.nspname", "c.relname", "pg_table_is_visible(c.oid)" },
  dn = { [[
select n.nspname as schema, pg_get_userbyid(n.nspowner) as owner{+, array_to_string(n.nspacl, ', ') as privileges,
       obj_description(n.oid, 'pg_namespace') as description+}
  from pg_namespace n where ($1::text is null and ($3::boolean or n.nspname !~ '^pg_' and n.nspname <> 'information_schema')
    or n.nspname::text ~ $1) and $2::text is null order by 1]] },
  dx = { [[
select e.extname as extension, e.extversion as version{+, (select a.default_version from pg_available_extensions a
       where a.name = e.extname) as available+}, n.nspname as schema, obj_description(e.oid, 'pg_extension') as description
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
 where ($1::text is null or e.extname::text ~ $1) and $2::text is null and $3::boolean is not null order by 1]] },
  db = { [[
select t.spcname as tablespace, pg_get_userbyid(t.spcowner) as owner, pg_tablespace_location(t.oid) as location{+,
       array_to_string(t.spcacl, ', ') as privileges, array_to_string(t.spcoptions, ', ') as options,
       case when has_tablespace_privilege(t.oid, 'CREATE') then pg_size_pretty(pg_tablespace_size(t.oid)) end as size,
       shobj_description(t.oid, 'pg_tablespace') as description+}
  from pg_tablespace t where ($1::text is null or t.spcname::text ~ $1) and $2::text is null and $3::boolean is not null order by 1]] },
  l = { [[
select d.datname as name, pg_get_userbyid(d.datdba) as owner, pg_encoding_to_char(d.encoding) as encoding, d.datcollate as collate,
       d.datctype as ctype, array_to_string(d.datacl, ', ') as privileges{+,
       case when has_database_privilege(d.oid, 'CONNECT') then pg_size_pretty(pg_database_size(d.oid)) end as size,
       t.spcname as tablespace, shobj_description(d.oid, 'pg_database') as description+}
  from pg_database d join pg_tablespace t on t.oid = d.dattablespace
 where ($1::text is null or d.datname::text ~ $1) and $2::text is null and $3::boolean is not null order by 1]] },
  du = { [[
select r.rolname as role, concat_ws(', ', case when r.rolsuper then 'superuser' end, case when not r.rolcanlogin then 'no login' end,
         case when r.rolcreatedb then 'creates databases' end, case when r.rolcreaterole then 'creates roles' end,
         case when r.rolreplication then 'replication' end, case when r.rolbypassrls then 'bypasses row security' end,
         case when not r.rolinherit then 'no inheritance' end, case when r.rolconnlimit >= 0 then r.rolconnlimit || ' connections' end,
         'valid until ' || r.rolvaliduntil) as attributes,
       (select string_agg(g.rolname, ', ' order by g.rolname) from pg_auth_members m join pg_roles g on g.oid = m.roleid
         where m.member = r.oid) as member_of{+, shobj_description(r.oid, 'pg_authid') as description+}
  from pg_roles r where ($1::text is null and ($3::boolean or r.rolname !~ '^pg_') or r.rolname::text ~ $1) and $2::text is null
 order by 1]] },
}
LISTS.z, LISTS.dg = LISTS.dp, LISTS.du

-- The kinds of pg_class behind the letters of \dt, \di, \dtv …
local LETTERS = { t = "r,p", i = "i,I", v = "v", m = "m", s = "S", E = "f" }

-- Sizes are left out when somebody holds a lock that was not to be seen beforehand.
local function unless_locked(read)
  local ok, rows = errors.try(read, true)
  if ok then return rows end
  if rows.sqlstate ~= LOCKED then error(rows, 0) end
  host.emit("log", { level = "warn", text = "sizes left out: " .. errors.line(rows) })
  return read(false)
end

local function list_relations(shell, flags, rest, kinds)
  local db, plus, pattern = shell:database(), flags:find("+", 1, true), describe.pattern(rest)
  return unless_locked(function(sizes)
    return db:rows(relations_sql(kinds, plus, sizes), pattern.schema, pattern.name, flags:find "S" ~= nil, "{" .. kinds .. "}", patience())
  end)
end

local function list(shell, flags, rest, entry)
  local sql, schema, name, visible = table.unpack(entry)
  local plus, pattern = flags:find("+", 1, true), describe.pattern(rest)
  sql = plus and sql:gsub("{%+", ""):gsub("%+}", "") or sql:gsub("{%+.-%+}", "")
  if schema then
    sql = sql:gsub("NAMED", function() return named(schema, name, visible) end)
    return shell:database():rows(sql, pattern.schema, pattern.name, flags:find "S" ~= nil, patience())
  end
  -- Things without a schema: $2 is only what is wrong.
  return shell:database():rows(sql, pattern.name, pattern.schema, flags:find "S" ~= nil, patience())
end

-- One relation ---------------------------------------------------------------------------------------------------------------

local FIND = [[
select c.oid, format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind,
       case c.relpersistence when 'u' then 'unlogged ' when 't' then 'temporary ' else '' end || KIND as type,
       HIDDEN as locked
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where (c.relkind <> 't' or $1::text is not null) and $3::boolean and NAMED order by n.nspname, c.relname limit $4]]
FIND = FIND:gsub("KIND", KIND):gsub("HIDDEN", HIDDEN)
  :gsub("NAMED", function() return named("n.nspname", "c.relname", "pg_table_is_visible(c.oid)") end)

-- When there is none: of another case, not in the search path, or not a relation.
local ELSE = [[
select 1 as n, 'relation' as kind, case when $1::text is null and pg_table_is_visible(c.oid) then quote_ident(c.relname)
       else format('%I.%I', n.nspname, c.relname) end as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind <> 't' and c.relname::text ~* $2 and ($1::text is null or n.nspname::text ~* $1)
union all select 2, 'type', case when $1::text is null and pg_type_is_visible(t.oid) then quote_ident(t.typname)
       else format('%I.%I', n.nspname, t.typname) end
  from pg_type t join pg_namespace n on n.oid = t.typnamespace
 where t.typrelid = 0 and t.typtype in ('e', 'd', 'r', 'b') and not exists (select from pg_type a where a.typarray = t.oid)
   and t.typname::text ~* $2 and ($1::text is null or n.nspname::text ~* $1)
union all select distinct 3, 'function', case when $1::text is null then quote_ident(p.proname)
       else format('%I.%I', n.nspname, p.proname) end
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where p.proname::text ~* $2 and ($1::text is null or n.nspname::text ~* $1)
union all select 4, 'schema', quote_ident(nspname) from pg_namespace where nspname::text ~* $2 and $1::text is null
 order by 1, 3 limit 3]]

local COLUMNS = [[
select a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
       (select l.collname from pg_collation l, pg_type t where l.oid = a.attcollation and t.oid = a.atttypid
         and a.attcollation <> t.typcollation) as collation,
       case when a.attnotnull then 'not null' end as nullable,
       case when a.attidentity = 'a' then 'generated always as identity' when a.attidentity = 'd' then 'generated by default as identity'
            when to_jsonb(a) ->> 'attgenerated' = 's' then 'generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') stored'
            else pg_get_expr(d.adbin, d.adrelid) end as default{+,
       case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' when 'x' then 'extended' end as storage,
       case when a.attstattarget >= 0 then a.attstattarget end as statistics, col_description(a.attrelid, a.attnum) as description+}
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum]]

local INDEX_COLUMNS = [[
select a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
       case when a.attnum <= x.indnkeyatts then 'yes' else 'included' end as key, pg_get_indexdef(a.attrelid, a.attnum, true) as definition
  from pg_attribute a join pg_index x on x.indexrelid = a.attrelid
 where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped order by a.attnum]]

local SEQUENCE = [[
select format_type(seqtypid, null) as type, seqstart as start, seqmin as minimum, seqmax as maximum, seqincrement as increment,
       case when seqcycle then 'yes' else 'no' end as cycles, seqcache as cache from pg_sequence where seqrelid = $1::oid]]

-- What stands below the columns, as lines. A constraint of a partition that it has from its parent is said once.
local SECTIONS = [[
select 1 as n, 'partition of' as title, 0 as k, i.inhparent::regclass || ' ' || pg_get_expr(c.relpartbound, c.oid) as line
  from pg_class c join pg_inherits i on i.inhrelid = c.oid where c.oid = $1::oid and c.relispartition and c.relkind <> 'I'
union all
select 2, 'partition key', 0, pg_get_partkeydef(partrelid) from pg_partitioned_table where partrelid = $1::oid
union all
select 3, 'indexes', case when x.indisprimary then 0 when x.indisunique then 1 else 2 end,
       quote_ident(i.relname) || case when n.contype = 'x' then ' ' || pg_get_constraintdef(n.oid, true) else
         case when x.indisprimary then ' primary key,' when n.contype = 'u' then ' unique constraint,' when x.indisunique then ' unique,'
           else '' end || substring(pg_get_indexdef(i.oid, 0, true) from ' USING( .*)$') end
       || case when n.condeferrable then ', deferrable' else '' end || case when n.condeferred then ' initially deferred' else '' end
       || case when x.indisclustered then ', clustered' else '' end || case when x.indisreplident then ', replica identity' else '' end
       || case when not x.indisready then ', INVALID, not ready' when not x.indisvalid then ', INVALID' else '' end
       || coalesce(', tablespace ' || (select quote_ident(s.spcname) from pg_tablespace s where s.oid = i.reltablespace), '')
  from pg_index x join pg_class i on i.oid = x.indexrelid
       left join pg_constraint n on n.conindid = i.oid and n.conrelid = x.indrelid and n.contype in ('p', 'u', 'x')
 where x.indrelid = $1::oid
union all
select case contype when 'c' then 4 else 5 end, case contype when 'c' then 'check constraints' else 'foreign keys' end, 0,
       quote_ident(conname) || ' ' || pg_get_constraintdef(oid, true)
  from pg_constraint where conrelid = $1::oid and contype in ('c', 'f')
union all
select 6, 'referenced by', 0, n.conrelid::regclass || ' ' || quote_ident(n.conname) || ' ' || pg_get_constraintdef(n.oid, true)
  from pg_constraint n where n.confrelid = $1::oid and n.contype = 'f' and not exists (select from pg_constraint p
    where p.oid = (to_jsonb(n) ->> 'conparentid')::oid and p.confrelid = n.confrelid)
union all
select 7, 'row security', 0, case when not c.relrowsecurity then 'off: its policies have no effect'
         when c.relforcerowsecurity then 'on, for the owner too' else 'on' end
       || case when exists (select from pg_policy p where p.polrelid = c.oid) then '' else ', without a policy: no row is seen' end
  from pg_class c where c.oid = $1::oid and (c.relrowsecurity or exists (select from pg_policy p where p.polrelid = c.oid))
union all
select 7, 'row security', 1, quote_ident(p.polname) || case when p.polpermissive then '' else ' restrictive' end || ' for '
       || case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end
       || ' to ' || case when p.polroles = '{0}' then 'public' else (select string_agg(quote_ident(r.rolname), ', ' order by r.rolname)
            from pg_roles r where r.oid = any(p.polroles)) end
       || coalesce(' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
  from pg_policy p where p.polrelid = $1::oid
union all
select 8, 'triggers', 0, substring(pg_get_triggerdef(t.oid, true) from 'TRIGGER (.*)$')
       || case t.tgenabled when 'D' then ', DISABLED' when 'R' then ', on replicas only' when 'A' then ', always' else '' end
  from pg_trigger t where t.tgrelid = $1::oid and not t.tgisinternal
union all
select 9, 'rules', 0, substring(pg_get_ruledef(r.oid, true) from 'RULE (.*)$') from pg_rewrite r
 where r.ev_class = $1::oid and r.rulename <> '_RETURN'
union all
select 10, 'inherits', i.inhseqno, i.inhparent::regclass::text
  from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.oid = $1::oid and not c.relispartition
union all
select 11, case when relispartition then 'partitions' else 'child tables' end || ' (' || total || ')', k, line from (
  select *, row_number() over (order by bounds = 'DEFAULT', line) as k from (
    select c.relispartition, count(*) over () as total, pg_get_expr(c.relpartbound, c.oid) as bounds, i.inhrelid::regclass
           || coalesce(' ' || pg_get_expr(c.relpartbound, c.oid), '') || case when c.relkind = 'p' then ', partitioned' else '' end as line
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::oid and c.relkind not in ('i', 'I')) children
  ) numbered where k <= $2::int
union all
select 12, 'statistics', 0, substring(pg_get_statisticsobjdef(s.oid) from 'STATISTICS (.*) FROM')
  from pg_statistic_ext s where s.stxrelid = $1::oid
union all
select 13, 'publications', 0, quote_ident(p.pubname) from pg_publication p where exists (select from pg_publication_rel r
    where r.prpubid = p.oid and r.prrelid = $1::oid)
    or p.puballtables and (select c.relkind in ('r', 'p') and c.relpersistence = 'p' from pg_class c where c.oid = $1::oid)
union all
select 14, 'index of', 0, concat_ws(', ', x.indrelid::regclass::text, m.amname, case when x.indisprimary then 'primary key'
         when x.indisunique then 'unique' end, case when x.indisclustered then 'clustered' end,
         case when x.indisreplident then 'replica identity' end,
         case when not x.indisready then 'INVALID, not ready: neither used nor kept up to date'
           when not x.indisvalid then 'INVALID: kept up to date, not used' else 'valid' end)
  from pg_index x join pg_class c on c.oid = x.indexrelid join pg_am m on m.oid = c.relam where x.indexrelid = $1::oid
union all
select 15, 'definition', 0, pg_get_indexdef(indexrelid) from pg_index where indexrelid = $1::oid
union all
select 16, 'constraint', 0, quote_ident(conname) || ' ' || pg_get_constraintdef(oid, true) from pg_constraint
 where conindid = $1::oid and contype in ('p', 'u', 'x')
union all
select 17, 'owned by', 0, d.refobjid::regclass || '.' || quote_ident(a.attname) from pg_depend d
  join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
 where d.classid = 'pg_class'::regclass and d.objid = $1::oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
   and (select c.relkind = 'S' from pg_class c where c.oid = $1::oid)
union all
select 18, 'storage', 0, line from (select concat_ws(', ', array_to_string(c.reloptions, ', '),
         (select 'tablespace ' || quote_ident(s.spcname) from pg_tablespace s where s.oid = c.reltablespace),
         case when c.relreplident = 'f' then 'replica identity full' when c.relreplident = 'n' and c.relkind in ('r', 'p')
           and c.relnamespace <> 'pg_catalog'::regnamespace then 'replica identity nothing' end,
         (select 'server ' || quote_ident(s.srvname) || coalesce(' (' || array_to_string(f.ftoptions, ', ') || ')', '')
            from pg_foreign_table f join pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = c.oid),
         case when c.reloftype <> 0 then 'of type ' || format_type(c.reloftype, null) end) as line
    from pg_class c where c.oid = $1::oid) options where line <> ''
 order by 1, 3, 4]]

local VIEW = "select pg_get_viewdef(c.oid, true) as text from pg_class c where c.oid = $1::oid"

local MORE = ([[
select SIZE as size, pg_get_userbyid(c.relowner) as owner, (select m.amname from pg_am m where m.oid = c.relam) as method,
       obj_description(c.oid, 'pg_class') as description
  from pg_class c where c.oid = $1::oid]]):gsub("SIZE", SIZE)

-- The same read without what waits for a lock on the table: the names stay.
local WITHOUT = { index = "' USING (locked)'", trigger = "'TRIGGER ' || quote_ident(t.tgname) || ' (locked)'",
  rule = "'RULE ' || quote_ident(r.rulename) || ' (locked)'",
  statisticsobj = "'STATISTICS ' || quote_ident(s.stxname) || ' (locked) FROM'" }
local function without_locks(sql)
  return (sql:gsub("pg_get_(%a+)def%b()", function(what) return WITHOUT[what] or "'(locked)'" end)
    :gsub("pg_get_expr%((%w+%.%w+)[^)]*%)", "case when %1 is not null then '(locked)' end"))
end

local function read_of(db, relation, sql, more)
  local parameters = { relation.oid, more }
  parameters[#parameters + 1] = patience()
  if not relation.locked then
    local ok, rows = errors.try(db.rows, db, sql, table.unpack(parameters))
    if ok then return rows end
    if rows.sqlstate ~= LOCKED then error(rows, 0) end
    relation.locked = true
  end
  return db:rows(without_locks(sql), table.unpack(parameters))
end

local function sections_of(db, relation, plus, add)
  local last, shown, total
  local function rest_of_children()
    if total and shown < total then add(("    … %d more, \\d+ lists all\n"):format(total - shown)) end
    total = nil
  end
  for _, row in ipairs(read_of(db, relation, SECTIONS, plus and math.maxinteger >> 32 or PARTITIONS)) do
    if row.title ~= last then
      rest_of_children()
      add(row.title .. ":\n")
      last, shown, total = row.title, 0, tonumber(row.title:match "%((%d+)%)$")
    end
    shown = shown + 1
    add("    " .. row.line:gsub("\n", "\n    ") .. "\n")
  end
  rest_of_children()
end

local function describe_one(shell, db, relation, plus, add)
  local format = setmetatable({ max_width = 0, null = "" }, { __index = shell.format })
  local function grid(sql)
    require("pgsh.shell.show").value(read_of(db, relation, sql), format, nil, add)
  end
  add(("%s %s\n"):format(relation.type, relation.name))
  if relation.kind == "i" or relation.kind == "I" then
    grid(INDEX_COLUMNS)
  elseif relation.kind == "S" then
    grid(SEQUENCE)
  else
    grid(plus and COLUMNS:gsub("{%+", ""):gsub("%+}", "") or (COLUMNS:gsub("{%+.-%+}", "")))
  end
  sections_of(db, relation, plus, add)
  if relation.kind == "v" or relation.kind == "m" then
    for _, row in ipairs(read_of(db, relation, VIEW)) do add("definition:\n" .. row.text .. "\n") end
  end
  if plus then
    for _, name in ipairs { "size", "owner", "method", "description" } do
      relation.more = relation.more or unless_locked(function(sizes)
        return db:row(sizes and MORE or MORE:gsub("^select .- as size,", "select"), relation.oid, patience())
      end)
      if relation.more[name] then add(("%s: %s\n"):format(name, relation.more[name])) end
    end
  end
  if relation.locked then add "(locked): somebody holds or wants a lock on all of it; pg.locks(db) says who\n" end
end

local NEIGHBOURS = [[
select case when $1::text is null then '' else quote_ident(n.nspname) || '.' end || quote_ident(c.relname) as shown, c.relname as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind <> 't' and case when $1::text is not null then n.nspname::text ~ $1
       else pg_table_is_visible(c.oid) and n.nspname not in ('pg_catalog', 'information_schema') end limit 5000]]

-- " (did you mean …?)" for a name that is mistyped.
local function nearest_to(db, rest, pattern)
  local word = rest:gsub('"', ""):match "([^.*?]+)$"
  if not word then return "" end
  local names, shown = {}, {}
  for i, row in ipairs(db:rows(NEIGHBOURS, pattern.schema, patience())) do
    names[i] = row.name
    shown[row.name] = row.shown
  end
  local near = require("pgsh.nearest").to(word, names)
  return near and (" (did you mean \\d %s?)"):format(shown[near]) or ""
end

local function nothing(db, rest, pattern)
  local others = db:rows(ELSE, pattern.schema, pattern.name or "", patience())
  local first = others[1]
  if not first then errors.raise("usage", "there is no relation %s%s", rest, nearest_to(db, rest, pattern)) end
  if first.kind == "type" then errors.raise("usage", "%s is a type: \\dT+ %s", first.name, first.name) end
  if first.kind == "function" then errors.raise("usage", "%s is a function: \\df %s, \\sf %s", first.name, first.name, first.name) end
  if first.kind == "schema" then errors.raise("usage", "%s is a schema: \\d %s.*", first.name, first.name) end
  local names = {}
  for _, other in ipairs(others) do
    if other.kind == "relation" then names[#names + 1] = "\\d " .. other.name end
  end
  errors.raise("usage", "there is no relation %s (did you mean %s?)", rest, table.concat(names, " or "))
end

local function describe_all(shell, flags, rest)
  local db, pattern = shell:database(), describe.pattern(rest)
  local relations = db:rows(FIND, pattern.schema, pattern.name, true, MOST + 1, patience())
  if #relations == 0 then nothing(db, rest, pattern) end
  local pieces = {}
  for i, relation in ipairs(relations) do
    if i > MOST then
      pieces[#pieces + 1] = ("\nand others: only the first %d are described\n"):format(MOST)
      break
    end
    if i > 1 then pieces[#pieces + 1] = "\n" end
    describe_one(shell, db, relation, flags:find("+", 1, true), function(text) pieces[#pieces + 1] = text end)
  end
  local pager, text = require "pgsh.shell.pager", table.concat(pieces)
  if pager.wanted(shell) then return pager.put(text, out, true) end
  out(text)
end

-- Sources --------------------------------------------------------------------------------------------------------------------

local FUNCTION_SOURCES = [[
select case when p.prokind = 'a'
              then format('-- %I.%I(%s) is an aggregate', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
            else rtrim(pg_get_functiondef(p.oid), E'\n') end as source
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where case when $4::text is not null then p.oid = $4::regprocedure else $3::boolean and NAMED end order by n.nspname, p.proname, p.oid
 limit 20]]
FUNCTION_SOURCES = FUNCTION_SOURCES:gsub("NAMED", function() return named("n.nspname", "p.proname", "pg_function_is_visible(p.oid)") end)
local VIEW_SOURCES = [[
select format(case c.relkind when 'm' then 'CREATE MATERIALIZED VIEW %I.%I' else 'CREATE OR REPLACE VIEW %I.%I' end, n.nspname, c.relname)
       || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') || E' AS\n' || pg_get_viewdef(c.oid, true) as source
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('v', 'm') and $3::boolean and NAMED order by n.nspname, c.relname limit 20]]
VIEW_SOURCES = VIEW_SOURCES:gsub("NAMED", function() return named("n.nspname", "c.relname", "pg_table_is_visible(c.oid)") end)

local function sources(shell, word, rest)
  if rest == "" then errors.raise("usage", "\\%s NAME", word) end
  local rows
  if word == "sf" then
    local signature = rest:find "%(" and rest or nil
    local pattern = signature and {} or describe.pattern(rest)
    rows = shell:database():rows(FUNCTION_SOURCES, pattern.schema, pattern.name, true, signature, patience())
  else
    local pattern = describe.pattern(rest)
    rows = shell:database():rows(VIEW_SOURCES, pattern.schema, pattern.name, true, patience())
  end
  if #rows == 0 then errors.raise("usage", "there is no %s %s", word == "sf" and "function" or "view", rest) end
  local texts = {}
  for i, row in ipairs(rows) do texts[i] = row.source .. "\n" end
  out(table.concat(texts, "\n"))
end

-- Commands -------------------------------------------------------------------------------------------------------------------

-- What reads for a command: (shell, flags, rest) → rows, or nothing when it has shown them itself.
local function reader(word)
  if LISTS[word] then return function(shell, flags, rest) return list(shell, flags, rest, LISTS[word]) end end
  if word == "d" then
    return function(shell, flags, rest)
      if rest == "" then return list_relations(shell, flags, "", "r,p,v,m,S,f") end
      return describe_all(shell, flags, rest)
    end
  end
  if word == "sf" or word == "sv" then return function(shell, _, rest) return sources(shell, word, rest) end end
  local letters = word:match "^d([tivmsE]+)$"
  if not letters then return nil end
  local kinds = {}
  for letter in letters:gmatch "." do kinds[#kinds + 1] = LETTERS[letter] end
  return function(shell, flags, rest) return list_relations(shell, flags, rest, table.concat(kinds, ",")) end
end

---@param word string               # "dt+"
---@return (fun(shell: pgsh.Shell, rest: string): boolean, any)?
function describe.find(word)
  local base, flags = word:match "^(.-)([S+]*)$"
  local read = reader(base)
  if not read then return nil end
  return function(shell, rest)
    return shell:run(("\\%s %s"):format(word, rest), function() return read(shell, flags, rest) end, { show = true })
  end
end

---@return string[]
function describe.names()
  local names = { "d", "sf", "sv" }
  for name in pairs(LISTS) do names[#names + 1] = name end
  for letter in pairs(LETTERS) do names[#names + 1] = "d" .. letter end
  return names
end

return describe
