/* smb2load's operations on locks and leases: a part of smb2load.c, included there. */

#define LOCK_EXCLUSIVE 0x12		/* and fail at once, [MS-SMB2] 2.2.26.1 */
#define LOCK_UNLOCK 0x04

static int lock(struct slot *slot, uint32_t flags, smb2_command_cb then)
{
	struct smb2_context *smb2 = slot->conn->smb2;
	struct smb2_lock_element range = { .offset = 16 * (slot - slots), .length = 16,
					   .flags = flags };
	struct smb2_lock_request request = { .lock_count = 1, .locks = &range };
	struct smb2_pdu *pdu;

	memcpy(request.file_id, smb2_get_file_id(slot->conn->file), sizeof(request.file_id));
	pdu = smb2_cmd_lock_async(smb2, &request, then, slot);
	if (!pdu)
		return -ENOMEM;
	smb2_queue_pdu(smb2, pdu);
	return 0;
}

static void on_unlocked(struct smb2_context *smb2, int status, void *data, void *private)
{
	(void)smb2;
	(void)data;
	finish(private, status ? -EIO : 0);
}

static void on_locked(struct smb2_context *smb2, int status, void *data, void *private)
{
	(void)smb2;
	(void)data;
	if (status || lock(private, LOCK_UNLOCK, on_unlocked) < 0)
		finish(private, -EIO);
}

/* A round trip of a break: conns[index] holds, conns[index + connections] breaks. */

/* Of the notification, and of the answer to the acknowledgment that follows. */
static void on_break(struct smb2_context *smb2, int status,
		     struct smb2_oplock_or_lease_break_reply *told, uint8_t *level,
		     uint32_t *state)
{
	(void)level;
	if (status) {
		fprintf(stderr, "smb2load: acknowledgment refused: %x\n", (unsigned)status);
		failed++;
	} else if (told->break_type == SMB2_BREAK_TYPE_LEASE_NOTIFICATION) {
		*state = told->lock.lease.new_lease_state;
		for (int i = 0; i < all; i++)
			conns[i].breaks += conns[i].smb2 == smb2;
	}
}

static void on_held_closed(struct smb2_context *smb2, int status, void *data, void *private)
{
	struct slot *slot = private;

	(void)smb2;
	(void)data;
	if (status == 0 && slot->conn->breaks < ++slot->conn->next)
		status = -EPROTO;	/* nobody told the holder */
	finish(slot, status);
}

static void on_other_closed(struct smb2_context *smb2, int status, void *data, void *private)
{
	struct slot *slot = private;

	(void)smb2;
	(void)data;
	if (status < 0 || smb2_close_async(slot->conn->smb2, slot->held, on_held_closed, slot) < 0)
		finish(slot, status < 0 ? status : -EIO);
}

static void on_other_opened(struct smb2_context *smb2, int status, void *data, void *private)
{
	if (status < 0 || smb2_close_async(smb2, data, on_other_closed, private) < 0)
		finish(private, status < 0 ? status : -EIO);
}

static void on_held(struct smb2_context *smb2, int status, void *data, void *private)
{
	struct slot *slot = private;

	(void)smb2;
	slot->held = data;
	if (status < 0 || smb2_open_async(slot->conn[connections].smb2, slot->name, O_RDWR,
					  on_other_opened, slot) < 0)
		finish(slot, status < 0 ? status : -EIO);
}

static int lease(struct slot *slot)
{
	smb2_lease_key key = "smb2load";

	key[15] = (uint8_t)slot->conn->index;
	snprintf(slot->name, sizeof(slot->name), "%s%d.dat", path, slot->conn->index);
	return smb2_open_async_with_oplock_or_lease(
		slot->conn->smb2, slot->name, O_RDWR | O_CREAT, SMB2_OPLOCK_LEVEL_LEASE,
		SMB2_LEASE_READ_CACHING | SMB2_LEASE_WRITE_CACHING | SMB2_LEASE_HANDLE_CACHING,
		key, on_held, slot);
}
