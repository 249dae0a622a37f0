---@meta pgsh.pipe
---A stream from a source through filters to a sink, in one pass and in bounded memory:
---
---    local done = pipe {
---      sh.output { "pg_dumpall", "-d", conninfo },
---      hash("sha512", { as = "plain" }),
---      pipe.tail { match = "PostgreSQL database cluster dump complete" },
---      gzip(),
---      hash("sha512", { as = "packed" }),
---      pipe.meter "dump",
---      file.writer "cluster.sql.gz",
---      timeout = "4h", stall = "10m",
---    }
---    done.digest.plain, done.digest.packed, done.bytes
---
---Sources  sh.output, file.reader, db:copy_out, a string (stands for itself)
---Filters  gzip, gunzip, hash, pipe.replace, pipe.head, pipe.tail, pipe.meter: any number, in any order
---Sinks    file.writer, sh.input, db:copy_in, pipe.text; without one the stream is only looked at
---
---With a sink that changes something (file.writer, sh.input, db:copy_in) the pipe is one change, else one read.
---
---Who reads slower holds up who writes: between two parts a few MiB wait, whatever the size. The first failure wins and its message begins
---with the name of its part; the others are stopped (children get TERM, KILL two seconds later, and are reaped) and nothing half
---is left: the sink's end comes only when the source has ended well (its command exited 0) and every filter is content. So a file has
---its name only when it is whole, a COPY is committed only when all of it came, and a command (a psql) that reads a stream which turns
---out to be cut short is ended before it could take the part for the whole. What such a command had already read stays read: then,
---and when it is interrupted, the outcome is *unknown*; when it failed by itself, *failed*. A pipe into a file that is timed out has
---failed, too, and is never begun again by itself: it may take hours.
---@class pgsh.pipe
---@overload fun(parts: pgsh.PipeParts): pgsh.PipeResult
local pipe = {}

---@class pgsh.PipePart                   # what sh.output{…}, gzip() … return: a description, may be used again

---@class pgsh.PipeParts                  # the parts in order, and
---@field [integer] pgsh.PipePart|string
---@field timeout? number|string          # of the whole; default: none but the step's
---@field stall? number|string            # when no byte has moved for so long: kind "timeout", and who was waited for. It cannot tell work from
---                                        # standing still: a psql that builds an index or a server that checks a constraint takes nothing
---                                        # meanwhile. Give more than the longest of that, or none
---@field what? string                    # shown in place of the parts
---@field resolve? fun(): boolean?, table?  # outcome unknown: true and the result, false: it did not happen, nil: cannot tell

---@class pgsh.PipeResult
---@field bytes integer                   # that the source gave
---@field out_bytes integer               # that the sink took
---@field ms integer
---@field path? string                    # of file.writer
---@field rows? integer                   # of db:copy_in
---@field digest? table<string, string>   # of the hashes: by `as`, else by algorithm
---@field text? table<string, string>     # of head, tail, pipe.text by `as`, else "head", "tail", "text"; of sh.input what it printed ("stdout")
---@field count? table<string, integer>   # of replace
---@field settled_by? string              # of db:copy_in: how a COMMIT without an answer was decided
---@field stages {name: string, in_bytes: integer, out_bytes: integer, stderr: string?}[]

---Compress. The default works on several MiB at once (libdeflate, one gzip member for each MiB), which gunzip, zcat, pigz and every other
---reader of gzip files understands; single makes one member (zlib, likewise in parallel) for the few that do not. The same bytes give
---the same file.
---@param options? {level: integer?, single: boolean?}  # level 1 (fast) to 12 (single: 9); default 6
---@return pgsh.PipePart
function pipe.gzip(options) end
---Decompress: all members, their CRC and length checked. Data that is damaged, cut short or followed by something else is refused. Also
---a word of its own: gunzip().
---@return pgsh.PipePart
function pipe.gunzip() end
---A digest of what passes. The same as hash(…).
---@param algorithm string                # of hash.names()
---@param options? {as: string?, expect: string?}  # expect: the digest it must have, in hexadecimal; another one fails the pipe
---@return pgsh.PipePart
function pipe.hash(algorithm, options) end
---Put another text in the place of each occurrence. Bytes, not patterns; also across the pieces in which a stream comes.
---@param from string
---@param to string
---@param options? {as: string?}
---@return pgsh.PipePart
function pipe.replace(from, to, options) end
---Keep the first bytes. match: a text that must be among them, else the pipe fails.
---@param bytes? integer                  # default 4096, at most 1 MiB; may be left out: pipe.head { match = "…" }
---@param options? {as: string?, match: string?}
---@return pgsh.PipePart
function pipe.head(bytes, options) end
---Keep the last bytes. match: a text that must be among them at the end: the end-of-dump marker, say.
---@param bytes? integer
---@param options? {as: string?, match: string?}
---@return pgsh.PipePart
function pipe.tail(bytes, options) end
---Show how it goes: bytes, rate, and how long it will take where the size is known (of a file without asking).
---@param what? string                    # what it is called
---@param options? {size: integer|string?}  # how many bytes are to come
---@return pgsh.PipePart
function pipe.meter(what, options) end
---The sink that keeps what comes, in result.text.
---@param options? {limit: integer|string?, as: string?}  # limit: default "16M", above it kind "limit"
---@return pgsh.PipePart
function pipe.text(options) end

return pipe
