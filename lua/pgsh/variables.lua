-- variables: the environment variables that are pgsh's own. Parameters are read from PGSH_NAME, too, so none may be called like one of
-- these.
return {
  { name = "PGSH_PATH", text = "directories of procedures and modules, looked into first" },
  { name = "PGSH_PAGER", text = "the shell's pager, else PAGER" },
  { name = "PGSH_PRODUCTION", text = "patterns of names and addresses that the shell takes for production" },
  { name = "PGSH_STATUSPAGE_URL", text = "another address of Statuspage" },
  { name = "PGSH_SLACK_URL", text = "another address of Slack" },
  { name = "PGSH_CLOUDFLARE_URL", text = "another address of Cloudflare" },
  { name = "PGSH_LINODE_URL", text = "another address of Linode" },
}
