# [plane:]account_id/virtual_network_id
terraform import hybridge_tunnel_virtual_network.customer 0123456789abcdef0123456789abcdef/8e4f0a1c-7b52-4d3e-9f60-1a2b3c4d5e6f
