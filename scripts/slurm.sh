#!/bin/bash
# A run under SLURM that goes on by itself after a time limit or a preemption. From the folder of the project:
#   sbatch --nodes 1 --gpus-per-node 8 scripts/slurm.sh --config ldm.yaml --data.root data/latents ...
# Five minutes before the end SLURM sends SIGUSR1: pvdm writes a checkpoint, queues the job again, and ends.
#SBATCH --job-name pvdm
#SBATCH --open-mode append
#SBATCH --requeue
#SBATCH --signal USR1@300
#SBATCH --time 24:00:00
set -euo pipefail
GPUS=${SLURM_GPUS_ON_NODE:-1}
# One task for each GPU; --resume starts the run where there is no checkpoint yet.
exec srun --ntasks-per-node "$GPUS" --kill-on-bad-exit 1 pvdm fit "$@" --resume \
  --trainer.num_nodes "${SLURM_NNODES:-1}" --trainer.devices "$GPUS" --trainer.strategy ddp
