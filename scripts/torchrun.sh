#!/bin/bash
# A run on several machines without a scheduler. The same command on each, with its number and the first one's address:
#   NODES=2 NODE=0 FIRST=10.0.0.1 GPUS=8 scripts/torchrun.sh --config ldm.yaml --data.root data/latents ...
# If a process dies, torchrun starts all of them again, and they go on from the newest checkpoint.
set -euo pipefail
exec torchrun --nnodes "${NODES:-1}" --node_rank "${NODE:-0}" --nproc_per_node "${GPUS:-1}" --max_restarts "${RESTARTS:-3}" \
  --master_addr "${FIRST:-127.0.0.1}" --master_port "${PORT:-29500}" -m pvdm_lightning fit "$@" --resume \
  --trainer.num_nodes "${NODES:-1}" --trainer.devices "${GPUS:-1}" --trainer.strategy ddp
