-- MCTP for Wireshark versions without a dissector of their own (before 4.2, say):
--   wireshark -X lua_script:mctp.lua capture.pcap
-- Reads packets of protocol 00FAh in Linux cooked captures, which is what mctp-demuxd writes with
-- --capture. Follows DSP0236 (header, control messages) and DSP0239 (message types).

for _, name in ipairs(DissectorTable.list()) do
    if name == "mctp.type" then return end -- this Wireshark has its own
end

local mctp = Proto("mctp_lua", "Management Component Transport Protocol")

local types = {
    [0x00] = "Control", [0x01] = "PLDM", [0x02] = "NC-SI", [0x03] = "Ethernet", [0x04] = "NVMe-MI",
    [0x05] = "SPDM", [0x06] = "Secured SPDM", [0x07] = "CXL FM API", [0x08] = "CXL CCI",
    [0x09] = "PCIe-MI", [0x7e] = "Vendor (PCI)", [0x7f] = "Vendor (IANA)",
}
local commands = {
    [0x01] = "Set Endpoint ID", [0x02] = "Get Endpoint ID", [0x03] = "Get Endpoint UUID",
    [0x04] = "Get Version Support", [0x05] = "Get Message Type Support",
    [0x06] = "Get Vendor Message Support", [0x07] = "Resolve Endpoint ID",
    [0x08] = "Allocate Endpoint IDs", [0x09] = "Routing Information Update",
    [0x0a] = "Get Routing Table Entries", [0x0b] = "Prepare for Endpoint Discovery",
    [0x0c] = "Endpoint Discovery", [0x0d] = "Discovery Notify", [0x0e] = "Get Network ID",
    [0x0f] = "Query Hop", [0x10] = "Resolve UUID",
}
local codes = {
    [0x00] = "Success", [0x01] = "Error", [0x02] = "Invalid data", [0x03] = "Invalid length",
    [0x04] = "Not ready", [0x05] = "Unsupported command",
}

local f = mctp.fields
f.version = ProtoField.uint8("mctp_lua.version", "Header version", base.DEC, nil, 0x0f)
f.destination = ProtoField.uint8("mctp_lua.dst", "Destination EID")
f.source = ProtoField.uint8("mctp_lua.src", "Source EID")
f.start = ProtoField.bool("mctp_lua.som", "Start of message", 8, nil, 0x80)
f.ending = ProtoField.bool("mctp_lua.eom", "End of message", 8, nil, 0x40)
f.sequence = ProtoField.uint8("mctp_lua.seq", "Packet sequence", base.DEC, nil, 0x30)
f.owner = ProtoField.bool("mctp_lua.to", "Tag owner", 8, nil, 0x08)
f.tag = ProtoField.uint8("mctp_lua.tag", "Message tag", base.DEC, nil, 0x07)
f.check = ProtoField.bool("mctp_lua.ic", "Integrity check", 8, nil, 0x80)
f.kind = ProtoField.uint8("mctp_lua.type", "Message type", base.HEX, types, 0x7f)
f.request = ProtoField.bool("mctp_lua.control.rq", "Request", 8, nil, 0x80)
f.datagram = ProtoField.bool("mctp_lua.control.d", "Datagram", 8, nil, 0x40)
f.instance = ProtoField.uint8("mctp_lua.control.instance", "Instance", base.DEC, nil, 0x1f)
f.command = ProtoField.uint8("mctp_lua.control.command", "Command", base.HEX, commands)
f.code = ProtoField.uint8("mctp_lua.control.code", "Completion code", base.HEX, codes)
f.payload = ProtoField.bytes("mctp_lua.payload", "Payload")

local function control(body, tree)
    if body:len() < 3 then return "" end
    tree:add(f.request, body(1, 1))
    tree:add(f.datagram, body(1, 1))
    tree:add(f.instance, body(1, 1))
    tree:add(f.command, body(2, 1))
    local code = body(2, 1):uint()
    local name = commands[code] or string.format("command 0x%02x", code)
    if body(1, 1):bitfield(0, 1) == 1 then return ", " .. name end
    if body:len() > 3 then
        tree:add(f.code, body(3, 1))
        local result = body(3, 1):uint()
        name = name .. ": " .. (codes[result] or string.format("0x%02x", result))
    end
    return ", " .. name
end

function mctp.dissector(buffer, pinfo, root)
    if buffer:len() < 4 then return 0 end
    local tree = root:add(mctp, buffer())
    tree:add(f.version, buffer(0, 1))
    tree:add(f.destination, buffer(1, 1))
    tree:add(f.source, buffer(2, 1))
    for _, field in ipairs({ f.start, f.ending, f.sequence, f.owner, f.tag }) do
        tree:add(field, buffer(3, 1))
    end
    local first, last = buffer(3, 1):bitfield(0, 1) == 1, buffer(3, 1):bitfield(1, 1) == 1
    local owner, tag = buffer(3, 1):bitfield(4, 1) == 1, buffer(3, 1):bitfield(5, 3)
    local info = string.format("EID %d > %d, tag %d%s%s%s", buffer(2, 1):uint(), buffer(1, 1):uint(),
        tag, owner and " TO" or "", first and " SOM" or "", last and " EOM" or "")
    if buffer:len() > 4 then
        local body = buffer(4)
        if first then
            tree:add(f.check, body(0, 1))
            tree:add(f.kind, body(0, 1))
            local kind = body(0, 1):bitfield(1, 7)
            info = info .. ", " .. (types[kind] or string.format("type 0x%02x", kind))
            if kind == 0 then info = info .. control(body, tree) end
        end
        tree:add(f.payload, body)
    end
    pinfo.cols.protocol = "MCTP"
    pinfo.cols.info = info
    return buffer:len()
end

DissectorTable.get("sll.ltype"):add(0x00fa, mctp)
