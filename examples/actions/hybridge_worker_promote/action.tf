# terraform apply -invoke=action.hybridge_worker_promote.api
action "hybridge_worker_promote" "api" {
  config {
    worker = "api"
  }
}
