# Made by proto/generate.py from a source with SHA-256 58846be1cd39bf65c129ff338de0134e6779c6cbb6a0fa149d106de6fbb44ec8
import purerpc
import aether.proto.aether_pb2 as aether_dot_v1_dot_aether__pb2


class AetherGatewayServicer(purerpc.Servicer):
    async def Connect(self, input_messages):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "aether.v1.AetherGateway"
        )
        service_obj.add_method(
            "Connect",
            self.Connect,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                aether_dot_v1_dot_aether__pb2.UpstreamMessage,
                aether_dot_v1_dot_aether__pb2.DownstreamMessage,
            )
        )
        return service_obj


class AetherGatewayStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "aether.v1.AetherGateway",
            channel
        )
        self.Connect = self._client.get_method_stub(
            "Connect",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                aether_dot_v1_dot_aether__pb2.UpstreamMessage,
                aether_dot_v1_dot_aether__pb2.DownstreamMessage,
            )
        )