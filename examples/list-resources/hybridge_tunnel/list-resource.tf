# In a file list.tfquery.hcl, for terraform query -generate-config-out=tunnels.tf
list "hybridge_tunnel" "all" {
  provider = hybridge
}
