import {
  to = hybridge_worker_deployment.api
  id = "0123456789abcdef0123456789abcdef/api"
}
