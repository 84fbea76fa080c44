output "role_arn" {
  description = "AWS_ROLE_ARN of the sidecar"
  value       = aws_iam_role.prometheus.arn
}

output "region" {
  description = "AWS_REGION of the sidecar"
  value       = local.region
}

output "workspace_id" {
  description = "AMP_SIDECAR_WORKSPACE_ID of the sidecar"
  value       = var.workspace_id
}
