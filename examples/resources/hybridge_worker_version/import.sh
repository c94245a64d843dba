# [plane:]account_id/worker id or name/version_id
terraform import hybridge_worker_version.api 0123456789abcdef0123456789abcdef/api/8e4f0a1c-7b52-4d3e-9f60-1a2b3c4d5e6f
