-- Texts as they are found in repositories: manifests, values files, role files; tidy ones and odd ones.
local corpus = { yaml = {}, json = {} }

corpus.yaml.deployment = [[
# Postgres for the bots.
# See https://example.org/runbooks: the volume is made by hand.
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: postgres-data
  annotations: {}
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests: { storage: "20Gi" }
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: postgres   # the one everybody connects to
  labels:
    app: postgres
    "app.kubernetes.io/part-of": 'pythondiscord'
spec:
  replicas: 1
  strategy:
    type: Recreate # never two on one volume
  selector:
    matchLabels:
      app: postgres
  template:
    metadata:
      labels:
        app: postgres
    spec:
      containers:
      - name: postgres
        image: postgres:15.6-alpine  # bump with care
        imagePullPolicy: "Always"
        args:
          - -c
          - max_connections=200
          - "-c"
          - 'shared_buffers=256MB'
        env:
        - name: PGDATA
          value: /data/15
        - name: POSTGRES_USER
          value: "pythondiscord"
        # the password is a secret
        - name: POSTGRES_PASSWORD
          valueFrom: {secretKeyRef: {name: postgres-env, key: POSTGRES_PASSWORD}}
        ports:
        - containerPort: 5432
          protocol: TCP
        livenessProbe:
          exec:
            command: ["pg_isready", "-U", "pythondiscord"]

          # be patient: recovery may take a while
          initialDelaySeconds: 5
          periodSeconds: 10
        readinessProbe: {tcpSocket: {port: 5432}}   # one line
        # starts slowly
        startupProbe:
          exec:
            command:
            - sh
            - -c
            - |
              pg_isready -U "$POSTGRES_USER"

              test -f /data/ready
          failureThreshold: 30

        volumeMounts:
        - mountPath: /data
          name: postgres-data
      volumes:
      - name: postgres-data
        persistentVolumeClaim:
          claimName: postgres-data
      securityContext:
        fsGroup: 0777
...
]]

corpus.yaml.values = [[
# Default values for gitlab.
global:
    edition:     ee
    hosts:
        domain:  example.com     # aligned by hand
        https:   yes
        externalIP: ~
    psql: { host: db01.example.com, port: 5432, password: {secret: pg, key: password} }
    empty:
    list:
    - one
    -   two
    - [a, b,
       c]   # in the middle
    -
      nested: true
postgresql:
    install: false
    initdb:
        scripts:
            init.sql: |-
                CREATE EXTENSION pg_stat_statements;

                -- # not a comment
                SELECT 1;

            folded: >
                one line
                of text

                and another
    version: "12.4"
    tag: 12.4
    hash: 1e10
    time: "10:30"
    date: 2024-01-01
    url: http://example.com:8080/a?b#c
    ünïcode: "\u00fc\n\ttab"
    windows: 'C:\data ''x'''
    "quoted key": 1
    ? complex
    : value
    8080: web
    last: |+
        kept

]]

-- As an editor on Windows leaves it, without a line end at the end.
corpus.yaml.compose = ([[
version: '3'
services:
  db:
    image: postgres:13
    ports:
    - "5432:5432"

    # local only
    command: |
      postgres
        -c fsync=off
    environment:
      - A=b
      -
    labels: {
      a: 1,
      b: 2
    }
    last: end]]):gsub("\n", "\r\n")

corpus.yaml.bom = "\xEF\xBB\xBF# größe\nname: ü # ä\nliste: [ö, 'ß', \"€\", 😀]\nende: x\n"

corpus.yaml.anchors = [[
base: &base
  image: a
  tag: !!str 5
  other: !mine x
one:
  <<: *base
  image: b
two: *base
three: {k: &v value, l: *v}
free: 1
]]

corpus.json.role = [[
{
  "name": "staging-base-deploy-node",
  "description": "Deploy node \u2014 staging",
  "json_class": "Chef::Role",
  "default_attributes": {
    "gitlab": {
      "dbconsole_db_host": "10.66.1.102",
      "ports": [5432, 6432],
      "empty": {},
      "none": []
    }
  },
  "override_attributes": {
    "omnibus-gitlab": {
      "gitlab_rb": {
        "gitlab-rails": {
          "db_host": "10.66.1.101",
          "db_port": 5432,
          "db_pool": 1.5,
          "enabled": true,
          "path": "\/var\/opt \ud83d\ude00",
          "nothing": null
        }
      }
    }
  },
  "chef_type": "role",
  "run_list": [
    "role[staging-base]",
    "recipe[gitlab-server]"
  ],
  "env_run_lists": {

  }
}
]]

corpus.json.odd = "\xEF\xBB\xBF{\"a\":1,\t\"b\" :[ 1,2 ,3],\r\n\"c\":{\"d\":\"e\"} ,\"a b\"\n:\nfalse, \"\": \"x\", \"ü\": [[],{}]}"
corpus.json.scalar = ' "only" \n'

return corpus
