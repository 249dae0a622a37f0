---@meta pgsh.secret
---secret(value): a value that prints as ••• and is removed from every event, error and journal line wherever its text turns up.
---Primitives accept it where they accept a string; joined to a string with .. the result is a secret too.
---@class pgsh.Secret
---@class pgsh.secret
---@overload fun(value: string): pgsh.Secret
local secret = {}

---Register the passwords of every URL and connection string in a text, without hiding the rest of it.
---@param text string|pgsh.Secret
function secret.credentials(text) end

---@param value any
---@return boolean
function secret.is(value) end

---The text with every known secret replaced.
---@param text string
---@return string
function secret.redact(text) end

---The plain value, for a service that must take it apart. It stays redacted wherever it is shown.
---@param value pgsh.Secret|string
---@return string
function secret.reveal(value) end

return secret
