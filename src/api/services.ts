/** The services of `sublet.v1`, as values. */
import { method } from '#api/method.js';
import { sublet } from '#proto/sublet.js';

const v1 = sublet.v1;

export const agentService = {
  register: method('/sublet.v1.AgentService/Register', v1.RegisterRequest, v1.RegisterResponse),
  reportStatus: method('/sublet.v1.AgentService/ReportStatus', v1.ReportStatusRequest, v1.ReportStatusResponse),
  keepAlive: method('/sublet.v1.AgentService/KeepAlive', v1.KeepAliveRequest, v1.KeepAliveResponse, {
    requestStream: true,
    responseStream: true,
  }),
  watch: method('/sublet.v1.AgentService/Watch', v1.WatchRequest, v1.WatchResponse, { responseStream: true }),
  leave: method('/sublet.v1.AgentService/Leave', v1.LeaveRequest, v1.LeaveResponse),
  returnOverlays: method('/sublet.v1.AgentService/ReturnOverlays', v1.ReturnOverlaysRequest, v1.ReturnOverlaysResponse),
};

export const operatorService = {
  listAgents: method('/sublet.v1.OperatorService/ListAgents', v1.ListAgentsRequest, v1.ListAgentsResponse),
  getAgent: method('/sublet.v1.OperatorService/GetAgent', v1.GetAgentRequest, v1.GetAgentResponse),
  lookup: method('/sublet.v1.OperatorService/Lookup', v1.LookupRequest, v1.LookupResponse),
  replaceAgent: method('/sublet.v1.OperatorService/ReplaceAgent', v1.ReplaceAgentRequest, v1.ReplaceAgentResponse),
  releaseAgents: method('/sublet.v1.OperatorService/ReleaseAgents', v1.ReleaseAgentsRequest, v1.ReleaseAgentsResponse),
  listOverlays: method('/sublet.v1.OperatorService/ListOverlays', v1.ListOverlaysRequest, v1.ListOverlaysResponse),
  addOverlay: method('/sublet.v1.OperatorService/AddOverlay', v1.AddOverlayRequest, v1.AddOverlayResponse),
  updateOverlay: method('/sublet.v1.OperatorService/UpdateOverlay', v1.UpdateOverlayRequest, v1.UpdateOverlayResponse),
  removeOverlay: method('/sublet.v1.OperatorService/RemoveOverlay', v1.RemoveOverlayRequest, v1.RemoveOverlayResponse),
  updateNetwork: method('/sublet.v1.OperatorService/UpdateNetwork', v1.UpdateNetworkRequest, v1.UpdateNetworkResponse),
  reserve: method('/sublet.v1.OperatorService/Reserve', v1.ReserveRequest, v1.ReserveResponse),
  previewChange: method('/sublet.v1.OperatorService/PreviewChange', v1.PreviewChangeRequest, v1.PreviewChangeResponse),
  unreserve: method('/sublet.v1.OperatorService/Unreserve', v1.UnreserveRequest, v1.UnreserveResponse),
  listReservations: method(
    '/sublet.v1.OperatorService/ListReservations',
    v1.ListReservationsRequest,
    v1.ListReservationsResponse,
  ),
  listHistory: method('/sublet.v1.OperatorService/ListHistory', v1.ListHistoryRequest, v1.ListHistoryResponse),
  getNetwork: method('/sublet.v1.OperatorService/GetNetwork', v1.GetNetworkRequest, v1.GetNetworkResponse),
};

export const clusterService = {
  getStatus: method('/sublet.v1.ClusterService/GetStatus', v1.GetStatusRequest, v1.GetStatusResponse),
  listMembers: method('/sublet.v1.ClusterService/ListMembers', v1.ListMembersRequest, v1.ListMembersResponse),
  addMember: method('/sublet.v1.ClusterService/AddMember', v1.AddMemberRequest, v1.AddMemberResponse),
  promoteMember: method('/sublet.v1.ClusterService/PromoteMember', v1.PromoteMemberRequest, v1.PromoteMemberResponse),
  removeMember: method('/sublet.v1.ClusterService/RemoveMember', v1.RemoveMemberRequest, v1.RemoveMemberResponse),
  replaceMember: method('/sublet.v1.ClusterService/ReplaceMember', v1.ReplaceMemberRequest, v1.ReplaceMemberResponse),
  moveMember: method('/sublet.v1.ClusterService/MoveMember', v1.MoveMemberRequest, v1.MoveMemberResponse),
  transferLeadership: method(
    '/sublet.v1.ClusterService/TransferLeadership',
    v1.TransferLeadershipRequest,
    v1.TransferLeadershipResponse,
  ),
  saveSnapshot: method('/sublet.v1.ClusterService/SaveSnapshot', v1.SaveSnapshotRequest, v1.SaveSnapshotResponse, {
    responseStream: true,
  }),
  endAdoption: method('/sublet.v1.ClusterService/EndAdoption', v1.EndAdoptionRequest, v1.EndAdoptionResponse),
};

/** On a port of its own. */
export const joinService = {
  join: method('/sublet.v1.JoinService/Join', v1.JoinRequest, v1.JoinResponse),
};

export const certificateService = {
  renew: method('/sublet.v1.CertificateService/Renew', v1.RenewRequest, v1.RenewResponse),
  createToken: method('/sublet.v1.CertificateService/CreateToken', v1.CreateTokenRequest, v1.CreateTokenResponse),
  listTokens: method('/sublet.v1.CertificateService/ListTokens', v1.ListTokensRequest, v1.ListTokensResponse),
  revokeToken: method('/sublet.v1.CertificateService/RevokeToken', v1.RevokeTokenRequest, v1.RevokeTokenResponse),
};

export const accessService = {
  whoAmI: method('/sublet.v1.AccessService/WhoAmI', v1.WhoAmIRequest, v1.WhoAmIResponse),
  revokeIdentity: method(
    '/sublet.v1.AccessService/RevokeIdentity',
    v1.RevokeIdentityRequest,
    v1.RevokeIdentityResponse,
  ),
  unrevokeIdentity: method(
    '/sublet.v1.AccessService/UnrevokeIdentity',
    v1.UnrevokeIdentityRequest,
    v1.UnrevokeIdentityResponse,
  ),
  listRevocations: method(
    '/sublet.v1.AccessService/ListRevocations',
    v1.ListRevocationsRequest,
    v1.ListRevocationsResponse,
  ),
  listRevokedReaders: method(
    '/sublet.v1.AccessService/ListRevokedReaders',
    v1.ListRevokedReadersRequest,
    v1.ListRevokedReadersResponse,
  ),
};
