import {
  to = hybridge_worker.api
  identity = {
    account_id = "0123456789abcdef0123456789abcdef"
    worker     = "api"
  }
}
