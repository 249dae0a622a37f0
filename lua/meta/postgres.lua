---@meta pgsh.postgres
---postgres: what is done with whole servers: take stock and compare, dump, validate, restore, and try things in a temporary server.
---
---    local source  = psql "service=prod"                                 -- names the target
---    local scratch = postgres.throwaway { version = 16 }                 -- starts when it is needed, gone when pgsh is
---
---    step "Dump" (function() return postgres.dump { from = "service=prod", to = "prod.sql.gz" } end)
---    step "Rehearse" (function()
---      local before = postgres.inventory "service=prod"
---      postgres.restore { from = "prod.sql.gz", into = scratch, allow = postgres.exists_already { roles = { "postgres" } } }
---      local difference = postgres.compare(before, postgres.inventory(scratch))
---      if not difference.same then fail("%s", difference.text) end
---    end)
---
---An address is a connection string or URI (a Secret too), a function (of a database's name) that returns one, or a throwaway server. Passwords
---are taken out of it: the programs get them in their environment, never as an argument. Servers of version 10 to 17.
---@class pgsh.postgres
local postgres = {}

-- Stock ----------------------------------------------------------------------------------------------------------------------

---@alias pgsh.Address string|pgsh.Secret|(fun(dbname?: string): string|pgsh.Secret)|pgsh.Throwaway

---@class pgsh.InventoryOptions
---@field connect? fun(dbname: string): pgsh.Psql   # how a database is reached; the handles are closed afterwards
---@field databases? string[]        # only these; default: all that are no templates and allow connections
---@field templates? boolean         # template databases too
---@field exact? boolean             # false: the planner's estimates instead of counted rows
---@field sizes? boolean             # false: without
---@field large_objects? boolean     # false: only how many, not their bytes and digest
---@field global? boolean            # false: without roles, memberships, settings, tablespaces
---@field timeout? number|string     # of each statement

---What a server has (only reads), as a plain table in a fixed order: server, databases, roles (no passwords), memberships, settings,
---tablespaces; in each database's content: extensions, schemas, tables with their rows, sequences with last_value and is_called,
---large_objects, counts of everything else, invalid_indexes, collations, publications, subscriptions. Of an address: every database. Of a
---psql handle: the connected one (or options.connect).
---
---Rows are counted exactly, up to 400 tables in one statement and thus of one moment; content.snapshots says how many moments it took. A
---partitioned table has none of its own, a foreign one's are not asked for; what may not be read, or only through row security, is marked
---not_counted. Definitions are compared by columns_md5 and counts.functions_md5.
---Options: connect databases templates exact sizes large_objects global timeout.
---@param from pgsh.Address|pgsh.Psql|fun(dbname: string): pgsh.Psql
---@param options? pgsh.InventoryOptions
---@return table
function postgres.inventory(from, options) end

---@class pgsh.CompareOptions
---@field ignore? (string|table)[]|fun(difference: table): boolean  # "table rows", "role app", { what =, object = }, or a function
---@field also? string[]             # of what is left out otherwise: "size", "collation_version", "location"
---@field limit? integer             # lines of text; default 200

---How two inventories differ. An object that one of them lacks is one difference. Left out: sizes, server version, versions of collations,
---places of tablespaces, template databases; rows when one of the two has estimates. text is a table to read.
---Options: ignore = { "table rows", "role app", { what =, object = } } or a function, also = { "size" }, limit.
---@param before table
---@param after table
---@param options? pgsh.CompareOptions
---@return {same: boolean, differences: {what: string, object: string, before: any, after: any}[], text: string}
function postgres.compare(before, after, options) end

---Has nobody made anything there (only reads)? true; or false and what there is. The whole server: databases beyond postgres and the
---templates, roles, tablespaces, subscriptions, and anything in postgres, template1 and the databases named. Of a psql handle only its own
---database is looked into.
---@param from pgsh.Address|pgsh.Psql
---@param options? {database: boolean?, databases: string[]?, roles: string[]?, connect: function?, limit: integer?, timeout: number|string?}
---       database: only the connected database; databases, roles: may be there (the databases have to be empty)
---@return boolean
---@return {what: string, name: string, database: string?}[]?
function postgres.is_empty(from, options) end

-- Dumps ----------------------------------------------------------------------------------------------------------------------

---@class pgsh.Dump
---@field from? pgsh.Address         # may be left out with source
---@field to string                  # the file; with .gz at its end compressed
---@field format? "cluster"|"plain"|"custom"  # pg_dumpall; pg_dump as SQL; as an archive. Default cluster
---@field database? string           # of plain and custom; default the address's
---@field args? string[]             # more words for the program: { "--exclude-database=scratch" }
---@field bin? string                # where the programs are; default: the newest installed
---@field through? fun(command: string[], options: table): pgsh.PipePart  # starts the program elsewhere; default sh.output
---@field source? pgsh.PipePart|string  # the dump itself, from wherever
---@field level? integer             # of gzip; default 6
---@field single? boolean            # one gzip member
---@field mode? integer              # of the files; default 0600 for the dump
---@field disk? boolean|number       # false: do not look whether there is room; a number: how large the dump is against the databases
---@field estimate? integer          # bytes; default pg_database_size, half of it when compressed
---@field checksum? boolean          # false: no checksum files
---@field timeout? number|string
---@field stall? number|string       # no byte for so long ends it
---@field what? string

---Dump to a file (a change), in one pass: digest of the plain bytes, gzip, digest of the file's, file. The file has its name only when
---the program exited 0 and the stream ended with the end-of-dump marker (an archive: when pg_restore can read it to its end); else there is
---no file. Beside it FILE.sha512 is written, and for dump.sql.gz also dump.sql.sha512, of the plain bytes. A run that was cut off while
---dumping dumps anew when it is resumed.
---Fields: from to format ("cluster", "plain", "custom") database args bin through source level single mode disk estimate checksum timeout
---stall what.
---@param dump pgsh.Dump
---@return {path: string, format: string, bytes: integer, plain_bytes: integer, sha512: {file: string, plain: string?}, checksums: string[]?, ms: integer, said: string?}
function postgres.dump(dump) end

---Is the file the dump that was made, and whole (a read)? It is read to its end: gzip's checksums, the digests of the file and of its
---plain bytes against the checksum files beside it, the end-of-dump marker; an archive is gone through by pg_restore. Raises (kind "io")
---when not; "refused" when nothing says what it must be.
---@param path string
---@param options? {sha512: string?, plain_sha512: string?, checksum: boolean?, format: string?, bin: string?, timeout: number|string?, stall: number|string?}
---       sha512, plain_sha512: digests known otherwise; checksum = false: without checksum files
---@return {path: string, format: string, packed: boolean, bytes: integer, plain_bytes: integer, sha512: {file: string, plain: string}, checked: string[]}
function postgres.validate(path, options) end

---@class pgsh.AllowedError
---@field sqlstate string            # "42710"
---@field object? string             # a text in the message: 'role "app"'
---@field name? string               # a name the message has in quotes, in whatever language
---@field pattern? string            # a Lua pattern

---@class pgsh.Restore
---@field from string                # the dump
---@field into pgsh.Address          # has to have been named: a psql handle for it, made at the top level; or a throwaway server
---@field database? string           # of plain and custom; default the address's
---@field validated? table           # what postgres.validate returned; default: it is validated first
---@field allow? pgsh.AllowedError[]
---@field empty? boolean|table       # false: the target need not be empty; or options of postgres.is_empty
---In the stream, for this attempt only: { { "'en_US.utf8'", "'en_GB.UTF-8'" } }. Bytes, everywhere, in the data too: the more of the
---statement the text has, the better.
---@field replace? string[][]
---@field locales? boolean           # false: do not look whether the target has the locales that the dump wants
---@field transaction? boolean       # psql -1: all or nothing; not for a cluster
---@field args? string[]             # more words for pg_restore: { "--no-owner" }
---@field bin? string
---@field through? fun(command: string[], options: table): pgsh.PipePart  # starts psql elsewhere; default sh.input; into is as seen there
---@field there? string              # into a remote server: the path of a copy of the dump beside it; psql there reads that
---@field record? string             # of kubectl's exec: the import goes on by itself when the line is lost, and is waited for
---@field db? pgsh.Psql              # with through: a handle by which the target is looked at
---@field timeout? number|string
---@field stall? number|string
---@field what? string

---Restore a dump (a change), after it was validated and the target found empty. It goes through psql, an archive by way of pg_restore,
---whose errors have no SQLSTATE. Stops at the first error that is not allowed, and at whatever psql says of its own (no connection, a
---\connect that failed, an unknown command); psql reads ahead: without `allow` it stops by itself, with it a few statements behind the error
---may have been executed before it was ended. A failed restore leaves what it did: begin anew with an empty server.
---
---"Already exists" (42710 of a role, 42P04 of a database) is only that: the ALTER ROLE behind it is executed, and gives the role the
---dump's attributes and the dump's password, also the one you are connected as.
---Into a remote server goes the copy that lies there, once its digest is that of the validated dump; what psql says is judged over there,
---too, so that the import stops at the first error that is not allowed whether or not the line holds.
---Fields: from into database validated allow = { { sqlstate =, object = | name = | pattern = } } empty replace locales transaction args bin
---through there record db timeout stall what.
---@param restore pgsh.Restore
---@return {path: string, format: string, bytes: integer, ms: integer, allowed: table[], allowed_count: integer, notices: string[], replaced: table[]?, locales: table?}
function postgres.restore(restore) end

---A server that has no address here (in a pod, on a host whose PostgreSQL listens on a socket only): everything goes through the programs
---beside it, which something starts there: a kubectl handle with `pod`, an ssh handle, or anything that has their read, run (kubectl: exec),
---output and input.
---
---    local k = kubectl { context = "prod", namespace = "databases" }
---    local db = postgres.remote(k, { pod = "deployment/postgres", user = "app" })
---    db:value "select count(*) from users"
---    postgres.dump { from = db, to = "cluster.sql.gz" }
---
---It is taken as `from` by inventory, is_empty, dump and compare's inventories, and by restore as `into`, with a copy of the dump that lies
---beside the server. Names no target of its own: what starts the programs is the target.
---Options: pod container user database name env psql timeout application.
---@param where pgsh.Kubectl|pgsh.Ssh|table
---@param options? {pod: string?, container: string?, user: string?, database: string?, name: string?, env: table<string, string>?, psql: string?, timeout: number|string?, application: string?}
---       database: default postgres; env: of the programs there (no secrets: they are arguments there); application: application_name
---@return pgsh.Remote
function postgres.remote(where, options) end

---Reads are one query each, in a READ ONLY transaction; functions that act are refused as psql handles refuse them. Values: numbers,
---booleans, texts; arrays and JSON decoded; NULL is an absent key. An answer that is cut short is an error of kind psql that may pass.
---@class pgsh.Remote
---@field name string
---@field database string
local remote = {}

---The same server, another database.
---@param database? string
---@return pgsh.Remote
function remote:at(database) end
---@param sql string
---@param ... any                    # parameters: texts, numbers, booleans, nil at the end is NULL; { what = … } behind them
---@return table[]
function remote:rows(sql, ...) end
---@return table?
function remote:row(sql, ...) end
---@return any
function remote:value(sql, ...) end
---@return fun(): table?
function remote:each(sql, ...) end
---Change: one statement. Its text is an argument over there: no secrets.
---@param sql string
---@param options? {what: string?, timeout: number|string?, resolve: function?}
---@return pgsh.ShResult
function remote:execute(sql, options) end
---The words that start a program there: { "pg_dumpall", … } with its environment and user in front.
---@param name string
---@param words string[]
---@param env? table<string, string>
---@return string[]
function remote:command(name, words, env) end

---Entries for `allow`: roles (42710) and databases (42P04) that are there before.
---@param names {roles: string[]?, databases: string[]?}
---@return pgsh.AllowedError[]
function postgres.exists_already(names) end

---The locales that the databases and collations of a dump need (a read). replace as for restore.
---@param path string
---@param options? {bin: string?, replace: string[][]?}
---@return {libc: string[], icu: string[], builtin: string[]}
function postgres.locales(path, options) end

-- A temporary server ---------------------------------------------------------------------------------------------------------

---@class pgsh.ThrowawayOptions
---@field bin? string                # directory of its programs; default: the newest installed
---@field version? string|integer    # or of this major version
---@field name? string               # of the target its handles are; default "throwaway"
---@field user? string               # its superuser; default "postgres"
---@field dir? string                # where its directory is made; default $TMPDIR, else /tmp
---@field encoding? string           # default UTF8
---@field locale? string             # default C
---@field lc_collate? string
---@field lc_ctype? string
---@field icu_locale? string         # version 15 and newer
---@field initdb? string[]           # more words for initdb
---@field settings? table<string, string|number|boolean>
---@field room? integer              # bytes that have to be free; default 150 MiB
---@field timeout? number|string     # of its start; default 5m

---A server of its own (a change to this machine): on a socket in a directory of mode 0700, nothing else; run by postgres or nobody when we
---are root. It loses everything at a crash (fsync is off), and is gone with its directory when it is closed, at the end of its scope
---(local t <close> = …), and when pgsh ends in whatever way, kill -9 included.
---
---Called at the top level of a procedure it is only declared (then changes through its psql handles are possible) and starts when it
---is needed. A resumed run starts a new one; what had been done in the former is gone. So postgres.restore into it is made anew instead of being
---taken from the journal; changes of your own go inside of t:anew(function() … end).
---Options: bin version name user dir encoding locale lc_collate lc_ctype icu_locale initdb settings room timeout.
---@param options? pgsh.ThrowawayOptions
---@return pgsh.Throwaway
function postgres.throwaway(options) end

---@class pgsh.Throwaway
---@field version string             # "15.4"; this and the following once it runs
---@field bin string
---@field dir string
---@field env table<string, string|false>  # PGHOST, PGPORT, PGUSER, PGDATABASE, for programs: sh.run({ … }, { env = t.env })
local throwaway = {}

---Start it, if it does not run. Everything else does that by itself.
---@return pgsh.Throwaway
function throwaway:start() end
---@param dbname? string             # default postgres
---@return string
function throwaway:conninfo(dbname) end
---A handle on one of its databases; close it before the server.
---@param dbname? string
---@param options? pgsh.PsqlNew
---@return pgsh.Psql
function throwaway:psql(dbname, options) end
---Call f(…); changes inside are made anew in a resumed run, whatever the journal says.
---@param f function
function throwaway:anew(f, ...) end
---The server's log (a read).
---@return string
function throwaway:log() end
---Does it run? A read.
---@return boolean
function throwaway:alive() end
---Stop it and remove its directory. Idempotent.
function throwaway:close() end

---The servers that can be started here, newest first (a read).
---@return {bin: string, version: string, major: integer}[]
function postgres.installations() end

-- Quoting --------------------------------------------------------------------------------------------------------------------

---An identifier for SQL, in quotes.
---@param name string
---@return string
function postgres.identifier(name) end
---A literal for SQL. Parameters ($1) are better where they can be used.
---@param text string
---@return string
function postgres.literal(text) end
---A connection string of its parts. With a Secret among them it is one.
---@param fields table<string, string|number|pgsh.Secret>
---@return string|pgsh.Secret
function postgres.conninfo(fields) end
---The parts of a connection string or URI.
---@param conninfo string|pgsh.Secret
---@return table<string, string>
function postgres.parse_conninfo(conninfo) end

return postgres
