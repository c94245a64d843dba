# [plane:]account_id/worker id or name
terraform import hybridge_worker.api 0123456789abcdef0123456789abcdef/api
