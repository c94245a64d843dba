# terraform apply -invoke=action.hybridge_worker_rollback.api
action "hybridge_worker_rollback" "api" {
  config {
    worker  = "api"
    to      = "previous"
    message = "the release of this morning loses orders"
  }
}
