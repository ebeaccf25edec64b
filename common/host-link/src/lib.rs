//! What the KCS, BT and SSIF bridges share.
