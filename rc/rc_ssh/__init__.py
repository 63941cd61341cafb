"""The SSH face: stock ssh, scp, sftp, rsync and git reach any sandbox, and nothing of SSH is in it."""
