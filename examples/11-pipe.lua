-- A stream: what a command prints is hashed, compressed, hashed again and written, in one pass and in bounded memory. The file has its
-- name only when all of it is there. Reading it back proves that.
procedure {
  name = "pipe",
  summary = "A list of numbers, packed, with its digests",
}

local path = param.string { "dir", "directory to work in", default = "/tmp" } .. "/pgsh-example-11.gz"

local pack = step "Pack" {
  run = function()
    local done = pipe {
      sh.output { "seq", "1", "200000" },
      hash("sha512", { as = "plain" }),
      pipe.tail { match = "200000\n" },   -- the end of the list is in it, or it is not whole
      gzip(),
      hash("sha512", { as = "packed" }),
      pipe.meter "pack",
      file.writer(path),
      timeout = "5m", stall = "1m",
    }
    return { path = done.path, plain = done.digest.plain }
  end,
  undo = function() sh.run { "rm", "-f", path } end,
}

step "Look at it" (function()
  local seen = pipe { file.reader(pack.result.path), gunzip(), hash("sha512", { expect = pack.result.plain }), pipe.head(4) }
  return { bytes = seen.bytes, first = seen.text.head }
end)
