# [plane:]account_id/worker name
terraform import hybridge_worker_deployment.api 0123456789abcdef0123456789abcdef/api
