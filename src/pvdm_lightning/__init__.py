"""Projected latent video diffusion (PVDM, CVPR 2023) in PyTorch Lightning."""
