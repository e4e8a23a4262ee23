"""ksmbd and Samba's smbd side by side, measured with the same load on the same machine."""
