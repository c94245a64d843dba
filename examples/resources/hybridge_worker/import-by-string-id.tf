import {
  to = hybridge_worker.api
  id = "0123456789abcdef0123456789abcdef/api"
}
